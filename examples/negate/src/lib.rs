//! A transform by a third party.
