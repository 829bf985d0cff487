"""Requests and answers as the API's documentation shows them."""

from typing import Any

from callytics.domain.diagnosis import Language, notice

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
    "sentiment": {
        "label": "neutral",
        "score": 0.71,
        "words": {
            "positive": [
                {
                    "word": "감사하다",
                    "count": 1,
                    "occurrences": [{"turn": 8, "sentence": 1, "start": 0, "end": 5}],
                }
            ],
            "negative": [],
        },
    },
    "metrics": {"silence_s": 7.2},
    "communication": {
        "politeness": {"score": 1.0, "reason": None, "sentences": 9, "polite": 9, "evidence": []},
        "empathy": {
            "score": None,
            "reason": "nothing_to_judge",
            "complaints": 0,
            "acknowledged": 0,
            "evidence": [],
        },
        "interruptions": {
            "score": 0.8,
            "reason": None,
            "by_agent": 1,
            "by_customer": 0,
            "by_agent_per_minute": 2.4,
            "by_customer_per_minute": 0.0,
            "evidence": [{"by": "agent", "at_s": 21.6, "turn": 4}],
        },
        "answering": {
            "score": 1.0,
            "reason": None,
            "questions": 1,
            "answered": 1,
            "promised": 0,
            "unanswered": 0,
            "evidence": [
                {
                    "turn": 1,
                    "sentence": 0,
                    "asks": "time",
                    "outcome": "answered",
                    "answered_by": "time",
                    "answer": {"turn": 2, "sentence": 0, "start": 3, "end": 5},
                }
            ],
        },
    },
    "summary": {
        "text": "고객이 사업자 등록 절차를 문의하여 필요 서류와 방법을 안내함",
        "provider": "vllm",
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
    "provider": "vllm",
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
    "provider": None,
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

_DIAGNOSIS_ID = "7c1f2d0e-4b8a-4f57-9a3e-0d6f1f0f7c55"
_COMPLAINT = "3일 전부터 팔 안쪽에 붉고 가려운 발진이 생겼어요. 진물은 없고 열도 없습니다."
DIAGNOSES: Any = {
    "text": {"value": {"text": _COMPLAINT}},
    "image and text": {
        "value": {
            "text": "이틀 전에 생긴 붉은 반점입니다.",
            "image": "data:image/jpeg;base64,/9j/4AAQSkZJRg...",
            "language": "ko",
        }
    },
}
DIAGNOSIS_TAKEN = {
    "job_id": _DIAGNOSIS_ID,
    "status": "queued",
    "status_url": f"https://callytics.example/diagnose/jobs/{_DIAGNOSIS_ID}",
    "cached": False,
}
DIAGNOSIS_JOB = {
    "job_id": _DIAGNOSIS_ID,
    "status": "done",
    "kind": "image",
    "language": "ko",
    "result": {
        "image_usable": True,
        "image_reason": "밝고 초점이 맞음",
        "findings": ["팔 안쪽의 붉은 반점", "가려움", "진물 없음"],
        "conditions": [
            {
                "name": "접촉성 피부염",
                "likelihood": "high",
                "reason": "접히는 부위의 가려운 발진",
            },
            {"name": "아토피 피부염", "likelihood": "medium", "reason": "팔 안쪽, 가려움"},
        ],
        "urgency": "routine",
        "urgency_reason": "열과 진물이 없음",
        "next_steps": ["새로 쓴 세제나 화장품 중단", "보습제 바르기"],
        "warning_signs": ["고열", "빠르게 번지는 물집", "숨참"],
    },
    "provider": "openai",
    "model": "gpt-4o-mini-2024-07-18",
    "image": {
        "format": "HEIC",
        "bytes_before": 2957120,
        "width_before": 4032,
        "height_before": 3024,
        "bytes_after": 23610,
        "width_after": 512,
        "height_after": 384,
    },
    "processing_time": 6.412,
    "cached": False,
    "attempts": 1,
    "problem": None,
    "notice": notice(Language.KOREAN),
    "created_at": "2025-09-13T14:02:09.310Z",
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

_REVIEW = "이 영화 정말 재미있어요! 강력 추천합니다."
SENTIMENTS: Any = {"one": {"value": {"text": _REVIEW, "return_probabilities": True}}}
SENTIMENT = {
    "status": "success",
    "data": {
        "text": _REVIEW,
        "sentiment": "긍정",
        "score": 0.9823,
        "probabilities": {"부정": 0.0177, "긍정": 0.9823},
        "processing_time_ms": 45.2,
    },
}
_REVIEWS = ["정말 최고의 영화였어요!", "시간 낭비였습니다.", "그냥 그래요."]
SENTIMENT_BATCHES: Any = {"three": {"value": {"texts": _REVIEWS}}}
SENTIMENT_BATCH = {
    "status": "success",
    "data": {
        "results": [
            {"text": _REVIEWS[0], "sentiment": "긍정", "score": 0.9756},
            {"text": _REVIEWS[1], "sentiment": "부정", "score": 0.9234},
            {"text": _REVIEWS[2], "sentiment": "중립", "score": 0.5123},
        ],
        "total_count": 3,
        "processing_time_ms": 123.5,
    },
}
SENTIMENT_MODEL = {
    "model_name": "kcelectra-sentiment",
    "model_type": "ELECTRA",
    "language": "Korean",
    "num_labels": 2,
    "max_length": 512,
    "version": "1.0.0",
}
