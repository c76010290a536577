//! Loads the chunk for calls when a call becomes possible or is requested.

mod chunk;
mod loader;

pub use chunk::CallsChunk;
pub use loader::{CallsLoader, ChunkState, use_calls_loader};
