//! Loads the chunk for calls when a call becomes possible or is requested.
//!
//! | module | contents |
//! |---|---|
//! | `chunk` | the functions of the chunk |
//! | `loader` | the loader, and what waits for it |

mod chunk;
mod loader;

pub use chunk::CallsChunk;
pub use loader::{CallsLoader, ChunkState, use_calls_loader};
