"""Every fault that a caller may meet: one root, a stable code each, the default message as docstring."""

from typing import Any, ClassVar


class CallyticsError(Exception):
    """Something went wrong in Callytics."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        """`detail` helps the reader and holds nothing that was said; `extra` is shown beside it."""
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.extra = extra
        super().__init__(self.detail)

    def as_problem(self) -> dict[str, Any]:
        """What is stored in a row and shown to a client."""
        return {"code": self.code, "detail": self.detail, **self.extra}


# --- who is asking -----------------------------------------------------------------------------


class InvalidBoundKeyError(CallyticsError):
    """The bound key is missing, malformed, stale, or not signed with a live secret of an enabled client."""

    code = "invalid_bound_key"


class InvalidApiKeyError(CallyticsError):
    """The API key is unknown, revoked or expired, or its client is disabled."""

    code = "invalid_api_key"


class ForbiddenError(CallyticsError):
    """This client may not do that."""

    code = "forbidden"


class RateLimitedError(CallyticsError):
    """Too many requests; wait for the time that Retry-After gives."""

    code = "rate_limited"


# --- what is asked for -------------------------------------------------------------------------


class InvalidRequestError(CallyticsError):
    """The request does not have the form that this path takes."""

    code = "invalid_request"


class MalformedRequestError(CallyticsError):
    """The body cannot be read as what its Content-Type says."""

    code = "malformed_request"


class UnsupportedMediaTypeError(CallyticsError):
    """This path does not take a body of this Content-Type."""

    code = "unsupported_media_type"


class RequestTooLargeError(CallyticsError):
    """The body is larger than this path takes."""

    code = "request_too_large"


class NotFoundError(CallyticsError):
    """There is nothing at this address."""

    code = "not_found"


class MethodNotAllowedError(CallyticsError):
    """This address does not take this method."""

    code = "method_not_allowed"


class InvalidRouteError(InvalidRequestError):
    """Work cannot be shared among variants in this way."""

    code = "invalid_route"


class VariantNotReadyError(CallyticsError):
    """No ready worker serves this variant."""

    code = "variant_not_ready"


class NoEarlierRouteError(CallyticsError):
    """No route was set before that one could go back to."""

    code = "no_earlier_route"


class UnknownStageError(InvalidRequestError):
    """There is no such stage."""

    code = "unknown_stage"


class CallNotFoundError(CallyticsError):
    """There is no call with this id."""

    code = "call_not_found"


class ClientNotFoundError(CallyticsError):
    """There is no client with this id."""

    code = "client_not_found"


class ApiKeyNotFoundError(CallyticsError):
    """The client has no API key that begins so."""

    code = "api_key_not_found"


class ClientExistsError(CallyticsError):
    """There is a client with this id already."""

    code = "client_exists"


class TranscriptNotReadyError(CallyticsError):
    """The call has no transcript yet; look at its stages and ask again later."""

    code = "transcript_not_ready"


class CallFinishedError(CallyticsError):
    """The call has already ended, so there is nothing to cancel."""

    code = "call_finished"


class CallRunningError(CallyticsError):
    """The call is still running; wait for its end or cancel it first."""

    code = "call_running"


class CallPurgedError(CallyticsError):
    """What this takes of the call was purged; send the recording again as a new call."""

    code = "call_purged"


class ConsultationPurgedError(CallyticsError):
    """What was said in the consultation was purged before or after its analysis."""

    code = "consultation_purged"


class CallCancelledError(CallyticsError):
    """The call was cancelled before its analysis was done."""

    code = "call_cancelled"


class StageNotInCallError(CallyticsError):
    """This call was submitted without that stage."""

    code = "stage_not_in_call"


class IdempotencyKeyReusedError(CallyticsError):
    """This Idempotency-Key was used before with another payload."""

    code = "idempotency_key_reused"


# --- audio -------------------------------------------------------------------------------------


class AudioTooLargeError(CallyticsError):
    """The audio is larger than this server takes."""

    code = "audio_too_large"


class UnusableAudioError(CallyticsError):
    """The audio cannot be analysed; another try with the same bytes ends the same way."""

    code = "unusable_audio"


class EmptyAudioError(UnusableAudioError):
    """The audio file is empty."""

    code = "audio_empty"


class NotAudioError(UnusableAudioError):
    """This is not an audio file that can be decoded."""

    code = "not_audio"


class TruncatedAudioError(UnusableAudioError):
    """The audio file ends in the middle: send it again, whole."""

    code = "audio_truncated"


class AudioTooShortError(UnusableAudioError):
    """The audio is too short to hold a word."""

    code = "audio_too_short"


class AudioTooLongError(UnusableAudioError):
    """The audio is longer than this server takes."""

    code = "audio_too_long"


class AudioChannelsError(UnusableAudioError):
    """The audio does not have the channels that the request names."""

    code = "audio_channels"


class AudioPathForbiddenError(CallyticsError):
    """`audio_path` is outside the directories that this server reads audio from."""

    code = "audio_path_forbidden"


class AudioPathUnreadableError(CallyticsError):
    """`audio_path` names no file that this server can read."""

    code = "audio_path_unreadable"


class AudioUrlForbiddenError(UnusableAudioError):
    """`audio_url` leads to an address that this server does not fetch from."""

    code = "audio_url_forbidden"


# --- images ------------------------------------------------------------------------------------


class ImageTooLargeError(CallyticsError):
    """The image is larger than this server takes: send a smaller one."""

    code = "image_too_large"


class UnusableImageError(CallyticsError):
    """The image cannot be looked at; another try with the same bytes ends the same way."""

    code = "unusable_image"


class EmptyImageError(UnusableImageError):
    """The image is empty."""

    code = "image_empty"


class NotImageError(UnusableImageError):
    """This is no image of a kind that is taken: send JPEG, PNG, WebP, BMP or HEIC."""

    code = "not_image"


class DamagedImageError(UnusableImageError):
    """The image is damaged or ends in the middle: send it again, whole."""

    code = "image_damaged"


class ImageTooManyPixelsError(UnusableImageError):
    """The image has more pixels than this server decodes: send a smaller one."""

    code = "image_too_many_pixels"


# --- diagnoses ---------------------------------------------------------------------------------


class ImageDiagnosisOffError(CallyticsError):
    """No model here looks at images: send a text, or set CALLYTICS_MODELS__DIAGNOSIS_IMAGE__SERVER to one."""

    code = "image_diagnosis_off"


class DiagnosisEmptyError(InvalidRequestError):
    """There is nothing to judge: send an `image`, a `text` that says something, or both."""

    code = "diagnosis_empty"


class DiagnosisTextTooLongError(InvalidRequestError):
    """The description is longer than this server takes: say what matters."""

    code = "diagnosis_text_too_long"


class DiagnosisNotFoundError(CallyticsError):
    """There is no diagnosis with this id; they are kept for a day."""

    code = "diagnosis_not_found"


class DiagnosisTimedOutError(CallyticsError):
    """No answer came within the time that a diagnosis may take: send it again."""

    code = "diagnosis_timed_out"


# --- stages ------------------------------------------------------------------------------------


class RetryableStageError(CallyticsError):
    """The stage failed in a way that another try may mend."""

    code = "stage_failed"


class AudioUrlUnreachableError(RetryableStageError):
    """`audio_url` cannot be fetched."""

    code = "audio_url_unreachable"


class StageTimeoutError(RetryableStageError):
    """The stage took longer than its time limit."""

    code = "stage_timed_out"


class WorkerLostError(RetryableStageError):
    """The worker that ran the stage was lost."""

    code = "worker_lost"


class AudioMissingError(CallyticsError):
    """The stored audio of this call is gone."""

    code = "audio_missing"


class StageAbandonedError(CallyticsError):
    """The run is no longer wanted: the call was cancelled or deleted, or a newer attempt took over."""

    code = "stage_abandoned"


# --- consultations and batches ---------------------------------------------------------------------


class ConsultationDoubledError(InvalidRequestError):
    """The request names a consultation twice."""

    code = "consultation_doubled"


class ConsultationWaitingError(CallyticsError):
    """This consultation waits already, with another text or address; wait for it, or cancel its batch."""

    code = "consultation_waiting"


class ConversationNotFoundError(CallyticsError):
    """No turns of this consultation have been sent."""

    code = "conversation_not_found"


class ConversationTooLongError(InvalidRequestError):
    """The conversation is longer than this server takes."""

    code = "conversation_too_long"


class TurnConflictError(CallyticsError):
    """These turns do not go on from those that were sent before."""

    code = "turn_conflict"


class EmptyTextError(InvalidRequestError):
    """Nothing is left of the text without markup and control characters."""

    code = "empty_text"


class TextTooLongError(InvalidRequestError):
    """The texts are longer, or more, than one request may hold."""

    code = "text_too_long"


class QuickSummaryNotFoundError(CallyticsError):
    """There is no quick summary with this id."""

    code = "quick_summary_not_found"


class TooManyWaitingError(CallyticsError):
    """More requests wait for the model than it can answer soon; come back after Retry-After."""

    code = "too_many_waiting"


class BatchNotFoundError(CallyticsError):
    """There is no batch with this id."""

    code = "batch_not_found"


class BatchFileNotFoundError(CallyticsError):
    """There is no file with this id: files are kept for a day, results for as long as their batch."""

    code = "file_not_found"


class BatchRunningError(CallyticsError):
    """The batch has not ended; wait for its end or cancel it first."""

    code = "batch_running"


class BatchFinishedError(CallyticsError):
    """The batch has already ended, so there is nothing to cancel."""

    code = "batch_finished"


class NothingToRerunError(CallyticsError):
    """No consultation of this batch has failed; say so if all of them are to be analysed again."""

    code = "nothing_to_rerun"


# --- callbacks -----------------------------------------------------------------------------------


class DeliveryNotFoundError(CallyticsError):
    """There is no delivery with this id."""

    code = "delivery_not_found"


class DeliveryOpenError(CallyticsError):
    """The delivery is still under way, so there is nothing to replay."""

    code = "delivery_open"


class EndpointNotFoundError(CallyticsError):
    """There is no callback address with this id."""

    code = "endpoint_not_found"


class DeliveryFailedError(CallyticsError):
    """The endpoint did not take the callback; it is tried again."""

    code = "delivery_failed"


class DeliveryDeadError(CallyticsError):
    """The endpoint did not take the callback, which is not tried again until it is replayed."""

    code = "delivery_dead"


class EndpointDisabledError(DeliveryDeadError):
    """The endpoint wants no callbacks any more; replay the delivery to switch it on again."""

    code = "endpoint_disabled"


# --- models and servers ------------------------------------------------------------------------


class UnavailableError(CallyticsError):
    """A server that this one rests on does not answer; try again soon."""

    code = "unavailable"


class ModelsNotReadyError(CallyticsError):
    """The models are not loaded yet."""

    code = "models_not_ready"


class ModelUnavailableError(RetryableStageError):
    """The model cannot be loaded or reached."""

    code = "model_unavailable"


class AnswerUnusableError(ModelUnavailableError):
    """The model gave an answer that cannot be worked with."""

    code = "model_answer_unusable"


class ModelFetchError(CallyticsError):
    """A model's files cannot be fetched."""

    code = "model_fetch_failed"


class ModelFilesCorruptError(ModelFetchError):
    """A model's file is not the one that was checked; nothing of it is kept."""

    code = "model_files_corrupt"


class ModelExportError(CallyticsError):
    """The model cannot be exported."""

    code = "model_export_failed"


class ModelDisagreesError(ModelExportError):
    """The exported model disagrees with its original, so it is not published."""

    code = "model_export_disagrees"


class ConfigurationError(CallyticsError):
    """A setting is missing or wrong."""

    code = "configuration_error"


class UnknownTaskError(ConfigurationError):
    """No chat model has this task."""

    code = "unknown_task"


class UnknownProviderError(ConfigurationError):
    """There is no provider of this name."""

    code = "unknown_provider"


class ProviderNotReadyError(ConfigurationError):
    """No running worker of the task can ask this provider."""

    code = "provider_not_ready"


class ProfileError(ConfigurationError):
    """This is no profile of what stages cost."""

    code = "profile_unusable"


class MeasurementError(CallyticsError):
    """What was measured is not enough for a profile: give more recordings."""

    code = "measurement_failed"


class NoPlacementError(CallyticsError):
    """No placement on this hardware holds the rate."""

    code = "no_placement"


class NotConnectedError(ConfigurationError):
    """No stack runs here and none is named."""

    code = "not_connected"


class StackRunningError(CallyticsError):
    """The local stack runs already: `callytics status` says where, `callytics down` stops it."""

    code = "stack_running"


class StackFailedError(CallyticsError):
    """The local stack did not come up."""

    code = "stack_failed"


class AnalysisInvalidError(RetryableStageError):
    """The model gave no analysis of the form that was asked for, asked twice."""

    code = "analysis_invalid"


class ConversationEmptyError(CallyticsError):
    """Nobody says anything in this conversation."""

    code = "conversation_empty"


class BackupError(CallyticsError):
    """The backup could not be made or restored."""

    code = "backup_failed"
