//! What stands in for decoder sessions in versions that have none: generation takes its prompt as text.

use lattice_inference::model::Qwen35Model;

use crate::counters::Counters;
use crate::engine::Loaded;
use crate::fault::Fault;
use crate::frame::Answer;
use crate::logits::Sequence;
use crate::request::Fields;
use crate::sampler::ORDER;
use crate::text;
use crate::versions::GenerateConfig;

/// The owner of a model: here the model itself.
pub struct Owner(Qwen35Model);

impl Owner {
    pub fn new(model: Qwen35Model) -> Self {
        Self(model)
    }

    pub fn model(&self) -> &Qwen35Model {
        &self.0
    }

    pub fn into_model(self) -> Qwen35Model {
        self.0
    }
}

fn lacking() -> Fault {
    Fault::unsupported(format!("lattice {} has no decoder sessions", crate::hello::VERSION))
}

pub fn logits(_: &mut Loaded, _: Sequence, _: &mut Counters) -> Result<Vec<f32>, Fault> {
    Err(lacking())
}

pub fn program(_: &mut Loaded, _: &Fields) -> Result<Answer, Fault> {
    Err(lacking())
}

/// Generation by `Qwen35Model::generate`, or its twin that streams.
pub fn generate(loaded: &mut Loaded, ids: Vec<u32>, config: GenerateConfig, stream: bool) -> Result<Answer, Fault> {
    let model = loaded.model()?;
    let mut answer = match stream {
        false => text::answer(model, &text::Prompt { ids: &ids, text: None }, &config, |prompt, config| {
            Ok(model.generate(prompt, config)?)
        })?,
        true => text::stream(model, &ids, &config)?,
    };
    answer.head["order"] = ORDER.into();
    Ok(answer)
}
