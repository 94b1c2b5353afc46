//! Stands in where the version's tokenizer has no way to lift its limit of length.

use crate::fault::Fault;
use crate::frame::Answer;
use crate::request::Fields;

#[derive(Default)]
pub struct Tokenizers;

fn unsupported() -> Result<Answer, Fault> {
    Err(Fault::unsupported("\"tokenizer/1\": this version is not asked for its tokenizer"))
}

impl Tokenizers {
    pub fn load(&mut self, _: &Fields) -> Result<Answer, Fault> {
        unsupported()
    }

    pub fn encode(&self, _: &Fields) -> Result<Answer, Fault> {
        unsupported()
    }

    pub fn decode(&self, _: &Fields) -> Result<Answer, Fault> {
        unsupported()
    }
}
