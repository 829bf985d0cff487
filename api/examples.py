"""Requests and answers as the API's documentation shows them."""

from typing import Any

CALL_ID = "0b9a6a0e-6f0c-4f0e-9a53-0d6f1f0f7c55"
SUBMITTED = {
    "call_id": CALL_ID,
    "status": "queued",
    "status_url": f"https://callytics.example/api/v1/calls/{CALL_ID}",
    "events_url": f"https://callytics.example/api/v1/calls/{CALL_ID}/events",
}
_BY_URL = {
    "audio_url": "https://records.example/2025/09/13/1234.wav",
    "consultation_id": "CL-2025091301234",
    "callback_url": "https://centerlink.example/webhook/calls",
    "priority": "high",
    "language": "ko",
    "channels": {"agent": 0, "customer": 1},
    "metadata": {"branch": "서울"},
}
_BY_PATH = {"audio_path": "2025/09/13/1234.wav", "stages": ["punctuate"]}
SUBMISSIONS: Any = {"audio_url": {"value": _BY_URL}, "audio_path": {"value": _BY_PATH}}
RERUN: Any = {"sentiment": {"value": {"from": "sentiment"}}}
SPEAKERS: Any = {
    "swap": {"value": {"swap": True}},
    "roles": {"value": {"roles": {"SPEAKER_00": "agent", "SPEAKER_01": "customer"}}},
}
STAGE = {
    "name": "transcribe",
    "status": "done",
    "attempts": 1,
    "queued_at": "2025-09-13T14:02:11.120Z",
    "started_at": "2025-09-13T14:02:11.128Z",
    "finished_at": "2025-09-13T14:02:19.530Z",
    "wait_s": 0.008,
    "run_s": 8.402,
    "model": "whisper-large-v3",
    "revision": "edaa852ec7e145841d8ffdb056a99866b5f0a478",
    "device": "cuda:0",
    "worker": "stt-4711@gpu-1",
    "variant": "v1",
    "progress": 1.0,
    "problem": None,
}
EVENTS = """\
id: 1
event: stage
data: {"name":"transcribe","status":"running","attempts":1,"progress":0.4, ...}

id: 2
event: status
data: {"call_id":"0b9a6a0e-6f0c-4f0e-9a53-0d6f1f0f7c55","status":"running","completed_at":null}
"""
RESULT: dict[str, Any] = {
    "call_id": CALL_ID,
    "consultation_id": "CL-2025091301234",
    "status": "completed",
    "duration_s": 61.4,
    "language": "ko",
    "channels": {"agent": 0, "customer": 1},
    "turns": [
        {
            "index": 0,
            "start_s": 0.42,
            "end_s": 3.1,
            "speaker": "CHANNEL_0",
            "role": "agent",
            "role_confidence": 1.0,
            "text": "안녕하세요, 고객센터입니다. 무엇을 도와드릴까요?",
            "sentences": [
                {
                    "text": "안녕하세요, 고객센터입니다.",
                    "sentiment": {"label": "positive", "score": 0.81},
                },
                {"text": "무엇을 도와드릴까요?", "sentiment": {"label": "neutral", "score": 0.74}},
            ],
            "sentiment": {"label": "positive", "score": 0.68},
        }
    ],
    "sentiment": {"label": "neutral", "score": 0.71},
    "metrics": {"silence_s": 7.2},
    "summary": {
        "text": "고객이 사업자 등록 절차를 문의하여 필요 서류와 방법을 안내함",
        "model": "qwen3-4b",
        "seconds": 1.92,
    },
    "stages": [STAGE],
    "created_at": "2025-09-13T14:02:09.310Z",
    "completed_at": "2025-09-13T14:02:27.004Z",
    "priority": "high",
    "metadata": {"branch": "서울"},
    "analysis": None,
}
_CONVERSATION = (
    "고객: 사업자 등록은 어떻게 하나요?\n"
    "상담사: 신분증과 임대차 계약서를 준비하셔서 온라인으로 신청하시면 됩니다."
)
QUICK_SUMMARIES: Any = {
    "text": {
        "value": {
            "consultation_id": "CL-2025091301234",
            "conversation_text": _CONVERSATION,
            "priority": "high",
        }
    },
    "turns sent ahead": {"value": {"consultation_id": "CL-2025091301234"}},
}
_SUMMARY_ID = "5b1f7f0a-3c8e-4a55-8f6e-2f7d3c1f0a11"
QUICK_SUMMARY: dict[str, Any] = {
    "consultation_id": "CL-2025091301234",
    "summary": "고객이 사업자 등록 절차를 문의하여 필요 서류와 방법을 안내함",
    "processing_time": 2.35,
    "model_used": "qwen3-4b",
    "status": "success",
    "summary_id": _SUMMARY_ID,
    "cached": False,
    "source": "model",
    "summary_url": None,
    "error": None,
}
QUICK_SUMMARY_LATE = {
    **QUICK_SUMMARY,
    "summary": None,
    "processing_time": 0.012,
    "model_used": None,
    "status": "processing",
    "source": None,
    "summary_url": f"https://callytics.example/api/v1/consultation/quick-summary/{_SUMMARY_ID}",
}
TURNS: Any = {
    "turns": {
        "value": {
            "turns": [
                {"role": "customer", "text": "사업자 등록은 어떻게 하나요?"},
                {"role": "agent", "text": "신분증과 임대차 계약서를 준비하셔서 신청하시면 됩니다."},
            ],
            "start": 0,
        }
    }
}
BATCHES: Any = {
    "batch": {
        "value": {
            "consultations": [
                {
                    "consultation_id": "CL-2025091301234",
                    "conversation_text": _CONVERSATION,
                    "metadata": {"call_date": "2025-09-13", "duration": 180},
                }
            ],
            "callback_url": "https://centerlink.example/webhook/analysis-complete",
        }
    }
}
BATCH_ID = "BATCH-20250913-001"
_BATCH_URL = f"https://callytics.example/api/v1/consultation/batches/{BATCH_ID}"
BATCH_SUBMITTED = {
    "batch_id": BATCH_ID,
    "total_consultations": 20,
    "estimated_completion": "2025-09-13T14:30:00Z",
    "status": "queued",
    "batches": [{"batch_id": BATCH_ID, "consultations": 20, "status_url": _BATCH_URL}],
}
BATCH = {
    "batch_id": BATCH_ID,
    "status": "completed",
    "total_consultations": 20,
    "counts": {
        "waiting": 0,
        "queued": 0,
        "running": 0,
        "done": 20,
        "failed": 0,
        "cancelled": 0,
    },
    "callback_url": "https://centerlink.example/webhook/analysis-complete",
    "run": 1,
    "runs": [
        {
            "run": 1,
            "model": "Qwen/Qwen3-4B-Instruct-2507",
            "prompt_version": "analysis-1",
            "consultations": 20,
            "started_at": "2025-09-13T14:24:00Z",
            "completed_at": "2025-09-13T14:28:45Z",
        }
    ],
    "created_at": "2025-09-13T14:16:12Z",
    "closes_at": "2025-09-13T14:31:12Z",
    "closed_at": "2025-09-13T14:24:00Z",
    "completed_at": "2025-09-13T14:28:45Z",
}
BATCH_RERUNS: Any = {
    "failed": {"value": {"only_failed": True}},
    "all, with another model": {"value": {"only_failed": False, "model": "Qwen/Qwen3-8B"}},
}

_FILE_ID = "file-3f1d6e0a5c964b1f9d0a4c1f2b7e8d90"
FILE_LINE = {
    "custom_id": "CL-2025091301234",
    "method": "POST",
    "url": "/api/v1/consultation/batch-analysis",
    "body": {"conversation_text": "고객: 환불이 안 들어왔어요. 상담사: 내일 입금됩니다."},
}
FILE = {
    "id": _FILE_ID,
    "object": "file",
    "bytes": 1840,
    "created_at": 1757773000,
    "expires_at": 1757859400,
    "filename": "consultations.jsonl",
    "purpose": "batch",
    "status": "processed",
}
NEW_FILE_BATCHES: Any = {
    "a file": {
        "value": {
            "input_file_id": _FILE_ID,
            "endpoint": "/api/v1/consultation/batch-analysis",
            "completion_window": "24h",
        }
    }
}
FILE_BATCH = {
    "id": BATCH_ID,
    "object": "batch",
    "endpoint": "/api/v1/consultation/batch-analysis",
    "errors": None,
    "input_file_id": _FILE_ID,
    "completion_window": "24h",
    "status": "completed",
    "output_file_id": f"file-{BATCH_ID}-output",
    "error_file_id": None,
    "created_at": 1757773010,
    "in_progress_at": 1757773010,
    "completed_at": 1757773295,
    "cancelled_at": None,
    "request_counts": {"total": 20, "completed": 20, "failed": 0},
    "metadata": None,
}
