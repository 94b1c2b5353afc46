//! One decoder session: logits after a prefill and after each teacher-forced step.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lattice_arch::decoder::{
    AcceptedToken, Cancellation, DecoderSession, ExecutionCapabilities, FinishDisposition, MetadataRequest,
    PredictionId, SelectOutcome, SelectionRequest, SessionRequest, StepStamp, TokenMetadata,
};
use lattice_inference::family::{DecoderModel, Qwen35CpuDecoder};
use lattice_inference::{GenerateConfig, InferenceError};

use crate::counters::Counters;
use crate::fault::Fault;
use crate::generate::neutral_config;

/// A request for a prefill of `ids` and then `steps` decoded tokens.
pub fn session_request(decoder: &Qwen35CpuDecoder, ids: Vec<u32>, steps: usize) -> SessionRequest {
    let model = decoder.model();
    // A budget of zero skips the engine's check of the context, so it is used only where the prompt fills the context.
    let budget = if steps == 0 && ids.len() != model.max_context() { 1 } else { steps };
    SessionRequest::new(ids, neutral_config(budget), model.config().eos_token_id)
}

/// A session that is fed given tokens.
pub struct ForcedSession<'m> {
    session: Observed<'m>,
    config: &'m GenerateConfig,
    pending: Option<PredictionId>,
}

impl<'m> ForcedSession<'m> {
    pub fn open(decoder: &'m mut Qwen35CpuDecoder, request: &'m SessionRequest) -> Result<Self, Fault> {
        let session = Observed::new(decoder.session(request)?);
        Ok(Self { session, config: request.config(), pending: None })
    }

    /// Evaluates the prompt in one batched prefill; appends the logits of its last position to `logits`.
    pub fn prefill(&mut self, logits: &mut Vec<f32>) -> Result<(), Fault> {
        self.session.prefill(&|| false)?;
        self.read_logits(logits)
    }

    /// Evaluates one more token by the step path; appends its logits to `logits`.
    pub fn decode(&mut self, id: u32, logits: &mut Vec<f32>) -> Result<(), Fault> {
        let prediction = self.pending.take().ok_or_else(|| Fault::internal("the session has no open prediction"))?;
        self.session.decode(&AcceptedToken::new(id, prediction), &|| false)?;
        self.read_logits(logits)
    }

    pub fn count(&self, counters: &mut Counters) {
        counters.prefill += self.session.prefilled;
        counters.step += self.session.stepped;
    }

    /// The engine shows the logits of a session only to a grammar mask, which may edit them: this one copies.
    fn read_logits(&mut self, logits: &mut Vec<f32>) -> Result<(), Fault> {
        let copy = RefCell::new(logits);
        let mask = |row: &mut [f32]| {
            copy.borrow_mut().extend_from_slice(row);
            Ok(())
        };
        let request = SelectionRequest::new(self.config, &[]);
        let mut outcome = self.session.select(&request.with_grammar_mask(&mask))?;
        if matches!(outcome, SelectOutcome::GrammarExhausted) {
            // No logit is finite. Without a mask the engine goes on, as its own generation does.
            outcome = self.session.select(&request)?;
        }
        match outcome {
            SelectOutcome::Candidate(candidate) => self.pending = Some(candidate.prediction),
            _ => return Err(Fault::internal("select gave no candidate although it had no mask")),
        }
        Ok(())
    }
}

/// A session of the engine that counts what passes through it and remembers the last choice.
pub struct Observed<'m> {
    inner: Box<dyn DecoderSession + 'm>,
    pub prefilled: usize,
    pub stepped: usize,
    pub last_choice: Rc<Cell<Option<u32>>>,
}

impl<'m> Observed<'m> {
    pub fn new(inner: Box<dyn DecoderSession + 'm>) -> Self {
        Self { inner, prefilled: 0, stepped: 0, last_choice: Rc::default() }
    }
}

impl DecoderSession for Observed<'_> {
    fn capabilities(&self) -> &ExecutionCapabilities {
        self.inner.capabilities()
    }

    fn prefill(&mut self, cancel: &dyn Cancellation) -> Result<StepStamp, InferenceError> {
        let stamp = self.inner.prefill(cancel)?;
        self.prefilled += stamp.evaluated_len;
        Ok(stamp)
    }

    fn prefill_interruptible(&mut self, cancel: &dyn Cancellation) -> Result<Option<StepStamp>, InferenceError> {
        let stamp = self.inner.prefill_interruptible(cancel)?;
        self.prefilled += stamp.map_or(0, |stamp| stamp.evaluated_len);
        Ok(stamp)
    }

    fn decode(&mut self, accepted: &AcceptedToken, cancel: &dyn Cancellation) -> Result<StepStamp, InferenceError> {
        let stamp = self.inner.decode(accepted, cancel)?;
        self.stepped = stamp.evaluated_len - self.prefilled;
        Ok(stamp)
    }

    fn select(&mut self, request: &SelectionRequest<'_>) -> Result<SelectOutcome, InferenceError> {
        let outcome = self.inner.select(request)?;
        if let SelectOutcome::Candidate(candidate) = &outcome {
            self.last_choice.set(Some(candidate.candidate_id));
        }
        Ok(outcome)
    }

    fn metadata(
        &mut self,
        prediction: PredictionId,
        final_token: u32,
        request: &MetadataRequest,
    ) -> Result<TokenMetadata, InferenceError> {
        self.inner.metadata(prediction, final_token, request)
    }

    fn finish(&mut self, disposition: FinishDisposition) -> Result<(), InferenceError> {
        self.inner.finish(disposition)
    }
}
