//! Storage: the only place with SQL, and the PostgreSQL it runs on.

pub mod cluster;
