//! The program as its users meet it: what it prints, what it leaves behind, how it exits.

mod arrays;
mod bench;
mod bounds;
mod commands;
mod outcomes;
mod readme;
mod reasons;
mod signals;
mod targets;
