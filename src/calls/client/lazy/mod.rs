//! Loading the code of calls when somebody can be called, or wants to call.
//!
//! | module | contents |
//! |---|---|
//! | [`chunk`] | what the rest of the program has of the code |
//! | [`loader`] | loading it, and what waits for it |

mod chunk;
mod loader;

pub use chunk::CallsChunk;
pub use loader::{CallsLoader, ChunkState, use_calls_loader};
