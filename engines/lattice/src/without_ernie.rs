//! Versions that have no model of the Llama family.

use std::path::Path;

use serde_json::Value;

use crate::fault::Fault;
use crate::frame::Answer;
use crate::request::Fields;

/// A model that cannot be loaded.
pub enum Ernie {}

impl Ernie {
    pub fn serves(config: &Value) -> bool {
        config["model_type"] == "llama"
    }

    pub fn load(_: &Path, _: &Value) -> Result<Self, Fault> {
        Err(Fault::unsupported("this version has no model of the llama family (ERNIE 4.5 came with 0.10.0)"))
    }

    pub fn vocab(&self) -> usize {
        match *self {}
    }

    pub fn context(&self) -> usize {
        match *self {}
    }

    pub fn eos(&self) -> Option<u32> {
        match *self {}
    }

    pub fn answer(&self, _: &str, _: &Fields) -> Result<Answer, Fault> {
        match *self {}
    }
}
