//! Writes `frontend-types/src/generated` from the Rust types.

fn main() -> Result<(), ts_rs::ExportError> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("frontend-types/src/generated");
    relive_protocol::export_typescript(&directory)
}
