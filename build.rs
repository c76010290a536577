//! Tells the code whether cargo-leptos cuts lazily loaded chunks out of the WASM file.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(split)");
    println!("cargo::rustc-check-cfg=cfg(erase_components)");
    // `cargo leptos build --split` needs the relocations that this option keeps, and nothing else asks for them.
    let rustflags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if rustflags.contains("--emit-relocs") {
        println!("cargo::rustc-cfg=split");
    }
}
