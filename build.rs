//! Makes the server be built anew when the dashboard was.

fn main() {
    // Cargo would take a folder that is not there for one that always changes. It is empty, and the
    // server says how to fill it, where the dashboard has not been built. If it cannot be made, for
    // want of permission, builds only take longer.
    drop(std::fs::create_dir_all("dashboard/dist"));
    println!("cargo::rerun-if-changed=dashboard/dist");
}
