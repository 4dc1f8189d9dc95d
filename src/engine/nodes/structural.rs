//! `start`, `parallel`, `sequence`, `end`: they only structure the graph.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{AttemptResult, NodeContext, NodeType, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::GraphNode;

/// Bytes of inputs that an `end` node without `output` collects.
const GATHERED: usize = 256 * 1024;

/// A node without work of its own.
#[derive(Debug)]
pub struct Structural {
    /// The property `output`, if there is one.
    output: Option<Value>,
    /// Whether the output otherwise consists of the inputs.
    gathers: bool,
}

impl Structural {
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        Ok(Self { output: Properties::of(node).template("output")?, gathers: node.kind == "end" })
    }

    async fn output(&self, context: &NodeContext) -> Result<Value, String> {
        match &self.output {
            Some(output) => context.fill("output", output).await,
            None if self.gathers => gather(context).await,
            None => Ok(Value::Null),
        }
    }
}

async fn gather(context: &NodeContext) -> Result<Value, String> {
    let (mut gathered, mut bytes) = (Map::new(), 0);
    for (node, output) in context.inputs().await?.into_iter().filter(|(_, output)| !output.is_null()) {
        bytes += output.to_string().len();
        if bytes <= GATHERED {
            gathered.insert(node.to_string(), output.as_ref().clone());
        }
    }
    Ok(if gathered.is_empty() { Value::Null } else { Value::Object(gathered) })
}

impl NodeType for Structural {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.output(context).map(AttemptResult::from).boxed()
    }

    fn work(&self) -> Work {
        Work::Structural
    }
}
