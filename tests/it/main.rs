//! Drives the built program as a user does.

mod batch;
mod browser;
mod cases;
mod command_line;
mod datasets;
mod encoders;
mod first_look;
mod hostile_weights;
mod limits;
mod reuse;
mod workspace;
