//! The library from outside: whole trees, damage, bounds, slices, other readers.

mod beside;
mod bounds;
mod conformance;
mod damage;
mod formats;
mod png;
mod reader;
mod scattered;
mod slices;
mod streams;
mod support;
mod targets;
mod trees;
mod vtkxml;
