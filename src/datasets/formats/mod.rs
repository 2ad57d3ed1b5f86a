//! Readers of the formats that datasets come in, and for which no kept crate is complete and safe.

pub mod idx;
pub(super) mod lmdb;
pub(super) mod mat;
