//! Reading a file: its pieces are opened one after the other, and its rows are read and judged on a thread of their
//! own, a few chunks ahead.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::sync::mpsc;
use wasend_commands::{CommandError, Commands};
use wasend_domain::import::{FileError, FileLayout, ImportSource, UploadFrame};
use wasend_domain::{Opened, Sealed};
use wasend_projections::uploads::{StoredUpload, UploadPart};

use super::chunks::{ChunkReader, ReadPurpose, encoding_of};
use super::options::ImportLimits;
use super::row::FileRow;

/// Pieces that are read from the store at once, and that wait to be read.
const PREFETCHED_FRAMES_MAX: usize = 8;
/// Chunks of rows that wait to be applied.
const PREFETCHED_CHUNKS_MAX: usize = 2;

/// Rows of a file, in order.
pub(crate) struct RowChunk {
    pub layout: Arc<FileLayout>,
    pub rows: Vec<FileRow>,
    /// Rows without content that stood between them.
    pub blank: u64,
    /// Bytes of the file that were read up to here, or a little further.
    pub bytes: u64,
}

pub(crate) type ChunkReceiver = mpsc::Receiver<Result<RowChunk, ReadFailure>>;

/// Why the rows end before the file does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadFailure {
    #[error("the file cannot be imported")]
    File(FileError),
    /// It may be tried again.
    #[error("a piece of the file cannot be read for now")]
    Store,
}

/// Reads the upload chunk by chunk.
pub(crate) fn read(
    commands: &Arc<Commands>,
    upload: &StoredUpload,
    source: Arc<ImportSource>,
    limits: &ImportLimits,
    purpose: ReadPurpose,
) -> ChunkReceiver {
    let (pieces, received) = mpsc::channel(PREFETCHED_FRAMES_MAX);
    tokio::spawn(send_pieces(Arc::clone(commands), upload.clone(), pieces));
    let (sender, chunks) = mpsc::channel(PREFETCHED_CHUNKS_MAX);
    let failed = sender.clone();
    let (encoding, limits) = (encoding_of(&source, &upload.encoding), limits.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let read = Arc::new(AtomicU64::new(0));
        let pieces = PieceReader { received, piece: Vec::new(), at: 0, read: Arc::clone(&read), end: None };
        let pass = |layout: &Arc<FileLayout>, rows, blank| {
            let chunk = RowChunk { layout: Arc::clone(layout), rows, blank, bytes: read.load(Ordering::Relaxed) };
            sender.blocking_send(Ok(chunk)).is_ok()
        };
        if let Err(broken) = (ChunkReader { source: &source, limits: &limits, purpose, pass }).read(pieces, encoding) {
            // A receiver that is gone needs no answer.
            drop(sender.blocking_send(Err(broken)));
        }
    });
    tokio::spawn(async move {
        if reading.await.is_err() {
            // A reader that has died has not come to the end of the file.
            drop(failed.send(Err(ReadFailure::Store)).await);
        }
    });
    chunks
}

/// None is the end of the file: a sender that only falls silent has died before it.
type FilePiece = Result<Option<Vec<u8>>, ReadFailure>;

async fn send_pieces(commands: Arc<Commands>, upload: StoredUpload, pieces: mpsc::Sender<FilePiece>) {
    let mut next = 0;
    loop {
        let opened = open_frames(&commands, &upload, next).await;
        let batch: Vec<FilePiece> = match opened {
            Ok(batch) if batch.is_empty() => vec![Ok(None)],
            Ok(batch) => batch.into_iter().map(|piece| Ok(Some(piece))).collect(),
            Err(broken) => vec![Err(broken)],
        };
        next += batch.len() as u64;
        for piece in batch {
            let last = !matches!(piece, Ok(Some(_)));
            if pieces.send(piece).await.is_err() || last {
                return;
            }
        }
    }
}

async fn open_frames(commands: &Commands, upload: &StoredUpload, first: u64) -> Result<Vec<Vec<u8>>, ReadFailure> {
    let unreadable = |error: CommandError| {
        tracing::warn!(%error, "a piece of an upload cannot be read");
        ReadFailure::Store
    };
    let lost = || ReadFailure::File(FileError::UploadLost);
    let parts = commands.uploads.parts(&upload.id, UploadPart::Frame, first, PREFETCHED_FRAMES_MAX).await;
    let parts = parts.map_err(|error| unreadable(error.into()))?;
    let sealed: Result<Vec<_>, _> = parts.iter().map(|(_, text)| Sealed::<UploadFrame>::parse(text)).collect();
    let opened = commands.vault.open_many(upload.account_id, &sealed.map_err(|_| lost())?).await;
    let opened = opened.map_err(|failure| unreadable(failure.into()))?;
    let mut pieces = Vec::with_capacity(opened.len());
    for frame in opened {
        match frame {
            Opened::Value(frame) => {
                pieces.push(BASE64_STANDARD.decode(&frame.expose().0).map_err(|_| lost())?);
            }
            Opened::Erased(_) | Opened::Unavailable(_) => return Err(lost()),
        }
    }
    Ok(pieces)
}

/// The pieces as one stream of bytes, on a thread that may wait.
struct PieceReader {
    received: mpsc::Receiver<FilePiece>,
    piece: Vec<u8>,
    at: usize,
    read: Arc<AtomicU64>,
    /// How it ended.
    end: Option<Result<(), ReadFailure>>,
}

impl Read for PieceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if let Some(end) = &self.end {
                return end.clone().map(|()| 0).map_err(io::Error::other);
            }
            match self.received.blocking_recv() {
                Some(Ok(Some(piece))) => (self.piece, self.at) = (piece, 0),
                Some(Ok(None)) => self.end = Some(Ok(())),
                Some(Err(broken)) => self.end = Some(Err(broken)),
                None => self.end = Some(Err(ReadFailure::Store)),
            }
        }
        let count = into.len().min(self.piece.len() - self.at);
        into[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Why a file cannot be read on.
pub(super) fn broken(error: &io::Error) -> ReadFailure {
    if error.kind() == io::ErrorKind::InvalidData {
        return ReadFailure::File(FileError::RowTooLong);
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ReadFailure>());
    inner.cloned().unwrap_or(ReadFailure::Store)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(sent: Vec<FilePiece>) -> Result<Vec<u8>, Option<ReadFailure>> {
        let (sender, received) = mpsc::channel(8);
        for piece in sent {
            sender.try_send(piece).unwrap();
        }
        drop(sender);
        let mut pieces = PieceReader { received, piece: vec![], at: 0, read: Arc::default(), end: None };
        let mut bytes = Vec::new();
        let ended = pieces.read_to_end(&mut bytes);
        assert_eq!(pieces.read(&mut [0]).is_ok(), ended.is_ok(), "it stays ended as it did");
        ended.map(|_| bytes).map_err(|error| error.get_ref().and_then(|inner| inner.downcast_ref().cloned()))
    }

    #[test]
    fn a_file_ends_where_its_sender_says_so_and_not_where_it_falls_silent() {
        let piece = |text: &str| Ok(Some(text.as_bytes().to_vec()));
        assert_eq!(file(vec![piece("a"), piece(""), piece("b"), Ok(None)]).unwrap(), b"ab");
        assert!(matches!(file(vec![piece("a")]), Err(Some(ReadFailure::Store))));
        let lost = ReadFailure::File(FileError::UploadLost);
        assert!(matches!(file(vec![piece("a"), Err(lost)]), Err(Some(ReadFailure::File(FileError::UploadLost)))));
    }
}
