//! The SIOPE+ simulator over real sockets: what a hub would see, and what the control plane says truly happened.

mod checks;
mod faults;
mod happy;
mod official;
mod refusals;
mod restart;
mod support;
mod tls;
