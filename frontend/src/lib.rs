//! The program for browsers. It is empty for other targets.

#![cfg(target_family = "wasm")]

/// Hydrates the server-rendered page. Its promise resolves once links can be followed by the router.
#[wasm_bindgen::prelude::wasm_bindgen]
pub async fn hydrate() {
    rialto::hydrate().await;
}

/// Builds the page anew, where the server's HTML was changed. Its promise resolves once links can be followed by the router.
#[wasm_bindgen::prelude::wasm_bindgen]
pub async fn mount() {
    rialto::mount().await;
}
