//! A run's outputs: those of the nodes that nothing follows.

use serde_json::{Map, Value};

use crate::engine::driver::{DriverError, Link};
use crate::session::{GraphDefinition, NodeStatus};

/// Bytes of the run's `outputs` as JSON. A node's output that does not fit is left out of them; it
/// can still be had from the node.
const OUTPUTS_BYTES: usize = 256 * 1024;

/// `{node id: output}` of the last nodes.
pub(super) async fn gather(link: &dyn Link, graph: &GraphDefinition) -> Result<Value, DriverError> {
    let session = link.session();
    let (mut outputs, mut bytes) = (Map::new(), 0);
    for node in graph.nodes.values().filter(|node| node.next_ids.is_empty()) {
        if session.node_status(&node.id) == Some(NodeStatus::Skipped) {
            continue;
        }
        let Some(output) = link.output(node.id.clone()).await? else { continue };
        let size = output.to_string().len();
        if bytes + size <= OUTPUTS_BYTES {
            bytes += size;
            outputs.insert(node.id.to_string(), output.as_ref().clone());
        }
    }
    Ok(Value::Object(outputs))
}
