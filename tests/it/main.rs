//! Drives the built program as a user does.

mod batch;
mod browser;
mod cases;
mod command_line;
mod first_look;
mod limits;
mod reuse;
mod workspace;
