//! The file transfer protocol between two pages, without browser access.
//!
//! Control messages (JSON text) and a file's bytes (binary) share one ordered, reliable data channel. The sender splits
//! a file into pieces, each verified by its SHA-256, and these into chunks.

use crate::model::Millis;
use serde::{Deserialize, Serialize};

/// Bytes; the last piece of a file may be smaller.
pub(super) const PIECE_BYTES: u64 = 1_024 * 1_024;
/// Bytes; accepted by every browser (RFC 8841 section 6).
pub(super) const MAX_CHUNK_BYTES: u32 = 64 * 1_024;
/// Further offers are declined.
const MAX_PENDING_OFFERS: usize = 20;
const MAX_FILE_NAME_CHARS: usize = 255;
const SPEED_SAMPLE_INTERVAL: Millis = 1_000;

/// A control message. The file's sender assigns the ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum TransferMessage {
    /// The sender offers a file.
    Offer {
        id: u32,
        name: String,
        /// In bytes.
        size: u64,
    },
    Accept {
        id: u32,
    },
    /// The receiver declines or cancels the file.
    Decline {
        id: u32,
    },
    /// The sender withdraws or cancels the file.
    Withdraw {
        id: u32,
    },
    /// Announces a piece; its chunks follow.
    #[serde(rename = "piece")]
    PieceStart {
        id: u32,
        /// SHA-256, hexadecimal.
        hash: String,
    },
    /// The receiver confirms verified bytes.
    #[serde(rename = "got")]
    Progress {
        id: u32,
        bytes: u64,
    },
    /// The sender has sent all pieces.
    End {
        id: u32,
        /// SHA-256 of all piece hashes in order, hexadecimal.
        hash: String,
    },
    /// The receiver has verified the file, or failed to.
    #[serde(rename = "kept")]
    Received {
        id: u32,
        #[serde(rename = "whole")]
        is_intact: bool,
    },
}

/// Direction of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferDirection {
    Outgoing,
    Incoming,
}

/// Why a transfer stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The receiver declined or cancelled.
    Declined,
    /// The sender withdrew.
    Withdrawn,
    /// A hash or length did not match.
    Damaged,
    /// The file could not be read or stored.
    Unreadable,
    CallEnded,
}

/// Phase of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferPhase {
    Offered,
    /// In transfer, or queued.
    InProgress,
    /// Received and verified.
    Complete,
    Stopped(StopReason),
}

/// A file transfer.
#[derive(Debug, Clone, PartialEq)]
pub struct FileTransfer {
    /// Unique within the direction.
    pub id: u32,
    pub direction: TransferDirection,
    pub name: String,
    /// In bytes.
    pub size: u64,
    pub phase: TransferPhase,
    /// Verified bytes.
    pub transferred_bytes: u64,
    /// Recent speed; `None` before the first measurement.
    pub bytes_per_second: Option<f64>,
    /// Object URL of a complete received file.
    pub url: Option<String>,
    /// Start of the speed measurement, and the bytes verified then.
    speed_sample: Option<(Millis, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferEffect {
    Send(u32),
    Decline(u32),
    Discard(TransferDirection, u32),
}

#[derive(Debug, Clone, Default)]
pub(super) struct TransferState {
    transfers: Vec<FileTransfer>,
    last_offer_id: u32,
}

impl TransferPhase {
    /// Whether the transfer is complete or stopped.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Stopped(_))
    }
}

impl TransferState {
    /// Oldest first.
    pub(super) fn transfers(&self) -> &[FileTransfer] {
        &self.transfers
    }

    pub(super) fn offer(&mut self, name: &str, size: u64) -> TransferMessage {
        self.last_offer_id += 1;
        let id = self.last_offer_id;
        self.add(TransferDirection::Outgoing, id, name, size);
        TransferMessage::Offer {
            id,
            name: name.to_owned(),
            size,
        }
    }

    pub(super) fn pending_offers(&self) -> Vec<TransferMessage> {
        let is_pending = |it: &&FileTransfer| {
            it.direction == TransferDirection::Outgoing && it.phase == TransferPhase::Offered
        };
        let offer = |it: &FileTransfer| TransferMessage::Offer {
            id: it.id,
            name: it.name.clone(),
            size: it.size,
        };
        self.transfers
            .iter()
            .filter(is_pending)
            .map(offer)
            .collect()
    }

    pub(super) fn accept(&mut self, id: u32) -> Option<TransferMessage> {
        let transfer = self.find(TransferDirection::Incoming, id)?;
        if transfer.phase != TransferPhase::Offered {
            return None;
        }
        transfer.phase = TransferPhase::InProgress;
        Some(TransferMessage::Accept { id })
    }

    pub(super) fn cancel(
        &mut self,
        direction: TransferDirection,
        id: u32,
    ) -> Option<TransferMessage> {
        let (stop, message) = match direction {
            TransferDirection::Outgoing => {
                (StopReason::Withdrawn, TransferMessage::Withdraw { id })
            }
            TransferDirection::Incoming => (StopReason::Declined, TransferMessage::Decline { id }),
        };
        self.stop(direction, id, stop).then_some(message)
    }

    /// False if unknown or already finished.
    pub(super) fn stop(
        &mut self,
        direction: TransferDirection,
        id: u32,
        reason: StopReason,
    ) -> bool {
        let Some(transfer) = self
            .find(direction, id)
            .filter(|it| !it.phase.is_finished())
        else {
            return false;
        };
        transfer.phase = TransferPhase::Stopped(reason);
        transfer.bytes_per_second = None;
        true
    }

    pub(super) fn dismiss(&mut self, direction: TransferDirection, id: u32) {
        self.transfers
            .retain(|it| (it.direction, it.id) != (direction, id) || !it.phase.is_finished());
    }

    pub(super) fn apply_message(
        &mut self,
        message: &TransferMessage,
        now: Millis,
    ) -> Option<TransferEffect> {
        match message {
            TransferMessage::Offer { id, name, size } => {
                let is_pending = |it: &&FileTransfer| {
                    it.direction == TransferDirection::Incoming
                        && it.phase == TransferPhase::Offered
                };
                if self.transfers.iter().filter(is_pending).count() >= MAX_PENDING_OFFERS {
                    return Some(TransferEffect::Decline(*id));
                }
                if self.find(TransferDirection::Incoming, *id).is_none() {
                    self.add(TransferDirection::Incoming, *id, name, *size);
                }
                None
            }
            TransferMessage::Accept { id } => {
                let transfer = self.find(TransferDirection::Outgoing, *id)?;
                if transfer.phase != TransferPhase::Offered {
                    return None;
                }
                transfer.phase = TransferPhase::InProgress;
                Some(TransferEffect::Send(*id))
            }
            TransferMessage::Decline { id } => self
                .stop(TransferDirection::Outgoing, *id, StopReason::Declined)
                .then_some(TransferEffect::Discard(TransferDirection::Outgoing, *id)),
            TransferMessage::Withdraw { id } => self
                .stop(TransferDirection::Incoming, *id, StopReason::Withdrawn)
                .then_some(TransferEffect::Discard(TransferDirection::Incoming, *id)),
            TransferMessage::Progress { id, bytes } => {
                self.record_progress(TransferDirection::Outgoing, *id, *bytes, now);
                None
            }
            TransferMessage::Received {
                id,
                is_intact: true,
            } => {
                self.complete(TransferDirection::Outgoing, *id, None);
                Some(TransferEffect::Discard(TransferDirection::Outgoing, *id))
            }
            TransferMessage::Received {
                id,
                is_intact: false,
            } => self
                .stop(TransferDirection::Outgoing, *id, StopReason::Damaged)
                .then_some(TransferEffect::Discard(TransferDirection::Outgoing, *id)),
            // The caller handles these: they need the file's bytes.
            TransferMessage::PieceStart { .. } | TransferMessage::End { .. } => None,
        }
    }

    pub(super) fn record_progress(
        &mut self,
        direction: TransferDirection,
        id: u32,
        bytes: u64,
        now: Millis,
    ) {
        let Some(transfer) = self
            .find(direction, id)
            .filter(|it| it.phase == TransferPhase::InProgress)
        else {
            return;
        };
        transfer.transferred_bytes = bytes.min(transfer.size);
        let (since, before) = *transfer
            .speed_sample
            .get_or_insert((now, transfer.transferred_bytes));
        if now - since >= SPEED_SAMPLE_INTERVAL {
            #[expect(clippy::cast_precision_loss, reason = "a speed is not that exact")]
            let speed =
                (transfer.transferred_bytes - before) as f64 * 1_000.0 / (now - since) as f64;
            transfer.bytes_per_second = Some(speed);
            transfer.speed_sample = Some((now, transfer.transferred_bytes));
        }
    }

    pub(super) fn complete(&mut self, direction: TransferDirection, id: u32, url: Option<String>) {
        if let Some(transfer) = self
            .find(direction, id)
            .filter(|it| it.phase == TransferPhase::InProgress)
        {
            transfer.phase = TransferPhase::Complete;
            transfer.transferred_bytes = transfer.size;
            transfer.bytes_per_second = None;
            transfer.url = url;
        }
    }

    pub(super) fn stop_unfinished(&mut self) {
        for transfer in self
            .transfers
            .iter_mut()
            .filter(|it| !it.phase.is_finished())
        {
            transfer.phase = TransferPhase::Stopped(StopReason::CallEnded);
            transfer.bytes_per_second = None;
        }
    }

    pub(super) fn find_in_progress(
        &self,
        direction: TransferDirection,
        id: u32,
    ) -> Option<&FileTransfer> {
        self.transfers.iter().find(|it| {
            (it.direction, it.id) == (direction, id) && it.phase == TransferPhase::InProgress
        })
    }

    fn add(&mut self, direction: TransferDirection, id: u32, name: &str, size: u64) {
        self.transfers.push(FileTransfer {
            id,
            direction,
            name: name.chars().take(MAX_FILE_NAME_CHARS).collect(),
            size,
            phase: TransferPhase::Offered,
            transferred_bytes: 0,
            bytes_per_second: None,
            url: None,
            speed_sample: None,
        });
    }

    fn find(&mut self, direction: TransferDirection, id: u32) -> Option<&mut FileTransfer> {
        self.transfers
            .iter_mut()
            .find(|it| (it.direction, it.id) == (direction, id))
    }
}

/// Lower-case hexadecimal, as pages exchange hashes.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE_BYTES: u64 = 3 * PIECE_BYTES;

    fn offered_transfer() -> (TransferState, TransferState, u32) {
        let (mut from, mut to) = (TransferState::default(), TransferState::default());
        let message = from.offer("plan.pdf", FILE_BYTES);
        assert_eq!(to.apply_message(&message, 0), None);
        let id = to.transfers()[0].id;
        (from, to, id)
    }

    fn accepted_transfer() -> (TransferState, TransferState, u32) {
        let (mut from, mut to, id) = offered_transfer();
        let message = to.accept(id).unwrap();
        assert_eq!(
            from.apply_message(&message, 0),
            Some(TransferEffect::Send(id))
        );
        (from, to, id)
    }

    #[test]
    fn a_file_is_offered_accepted_and_whole_on_both_sides() {
        let (mut from, mut to, id) = accepted_transfer();
        assert_eq!(to.accept(id), None, "once is enough");
        for (now, done) in [
            (0, PIECE_BYTES),
            (500, 2 * PIECE_BYTES),
            (1_000, FILE_BYTES),
        ] {
            to.record_progress(TransferDirection::Incoming, id, done, now);
            from.apply_message(&TransferMessage::Progress { id, bytes: done }, now);
        }
        let shown = &from.transfers()[0];
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let expected = 2.0 * PIECE_BYTES as f64;
        assert_eq!(
            (shown.transferred_bytes, shown.bytes_per_second),
            (FILE_BYTES, Some(expected))
        );
        to.complete(TransferDirection::Incoming, id, Some("blob:1".to_owned()));
        from.apply_message(
            &TransferMessage::Received {
                id,
                is_intact: true,
            },
            1_100,
        );
        assert_eq!(
            [&from, &to].map(|it| it.transfers()[0].phase),
            [TransferPhase::Complete; 2]
        );
        to.dismiss(TransferDirection::Incoming, id);
        assert!(to.transfers().is_empty());
    }

    #[test]
    fn either_side_can_give_up_and_both_say_why() {
        let stage = |state: &TransferState| state.transfers()[0].phase;
        let (mut from, mut to, id) = offered_transfer();
        let message = to.cancel(TransferDirection::Incoming, id).unwrap();
        from.apply_message(&message, 0);
        assert_eq!(
            [stage(&from), stage(&to)],
            [TransferPhase::Stopped(StopReason::Declined); 2]
        );
        assert_eq!(to.accept(id), None, "too late");

        let (mut from, mut to, id) = accepted_transfer();
        let say = from.cancel(TransferDirection::Outgoing, id).unwrap();
        assert_eq!(
            to.apply_message(&say, 0),
            Some(TransferEffect::Discard(TransferDirection::Incoming, id))
        );
        assert_eq!(
            [stage(&from), stage(&to)],
            [TransferPhase::Stopped(StopReason::Withdrawn); 2]
        );
        assert_eq!(from.cancel(TransferDirection::Outgoing, id), None);
    }

    #[test]
    fn a_transfer_in_progress_when_the_call_ends_is_stopped_and_a_complete_one_stays() {
        let (_, mut to, id) = accepted_transfer();
        to.complete(TransferDirection::Incoming, id, None);
        to.apply_message(
            &TransferMessage::Offer {
                id: 2,
                name: "b".to_owned(),
                size: 1,
            },
            0,
        );
        to.stop_unfinished();
        let stages: Vec<_> = to.transfers().iter().map(|it| it.phase).collect();
        assert_eq!(
            stages,
            [
                TransferPhase::Complete,
                TransferPhase::Stopped(StopReason::CallEnded)
            ]
        );
    }

    #[test]
    fn nobody_is_flooded_with_offers_and_no_name_is_endless() {
        let mut to = TransferState::default();
        let offer = |id| TransferMessage::Offer {
            id,
            name: "🌉".repeat(1_000),
            size: 1,
        };
        for id in 0..20 {
            assert_eq!(to.apply_message(&offer(id), 0), None);
        }
        assert_eq!(
            to.apply_message(&offer(20), 0),
            Some(TransferEffect::Decline(20))
        );
        assert_eq!(to.transfers().len(), 20);
        assert_eq!(to.transfers()[0].name.chars().count(), MAX_FILE_NAME_CHARS);
    }
}
