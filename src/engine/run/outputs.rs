//! A run's outputs: those of the nodes without next nodes.

use serde_json::{Map, Value};

use crate::engine::driver::{DriverError, SessionLink};
use relive_session::{GraphDefinition, NodeStatus, check_json};

/// Bytes of the run's `outputs` as JSON. A node's output that does not fit, or would be nested too deeply
/// in them, is left out; it can still be read from the node.
const OUTPUTS_BYTES: usize = 256 * 1024;

/// `{node id: output}` of the last nodes.
pub(super) async fn gather(link: &dyn SessionLink, graph: &GraphDefinition) -> Result<Value, DriverError> {
    let session = link.session();
    let (mut outputs, mut bytes) = (Map::new(), 0);
    for node in graph.nodes.values().filter(|node| node.next_ids.is_empty()) {
        if session.node_status(&node.id) == Some(NodeStatus::Skipped) {
            continue;
        }
        let Some(output) = link.output(node.id.clone()).await? else { continue };
        let size = output.to_string().len();
        if bytes + size > OUTPUTS_BYTES {
            continue;
        }
        let wrapped = Value::Object(Map::from_iter([(node.id.to_string(), output.as_ref().clone())]));
        if let (Ok(()), Value::Object(wrapped)) = (check_json("outputs", &wrapped), wrapped) {
            bytes += size;
            outputs.extend(wrapped);
        }
    }
    Ok(Value::Object(outputs))
}
