//! Asks the linker to fold functions that came out the same: generic code of many crates does, and less program text is
//! mapped into memory. Only functions whose address nobody looks at are folded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let linux = std::env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu");
    // lld is the default linker of this target; the linkers of others do not know the option.
    if linux && std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=safe");
    }
}
