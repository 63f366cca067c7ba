//! Taking in a file piece by piece: each piece is sealed and stored before the next is read.

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use wasend_domain::import::UploadFrame;
use wasend_domain::{AccountId, Personal, SubjectId, UploadId};
use wasend_projections::uploads::UploadPart;

use super::encoding::EncodingCheck;
use crate::{Caller, CommandError, Commands, Refusal, RefusalCode};

/// Bytes of a file in one sealed piece.
const UPLOAD_FRAME_BYTES: usize = 64 << 10;
/// Pieces stored in one transaction.
const UPLOAD_FRAMES_MAX: usize = 16;

/// A file that is being uploaded.
pub struct IncomingUpload {
    id: UploadId,
    account: AccountId,
    subject: SubjectId,
    buffer: Vec<u8>,
    frames: u64,
    bytes: u64,
    hash: Sha256,
    encoding: EncodingCheck,
    limit: u64,
}

/// Why a file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl IncomingUpload {
    /// Takes the next bytes of the file.
    pub async fn push(&mut self, commands: &Commands, bytes: &[u8]) -> Result<(), UploadError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limit {
            return Err(UploadError::TooLarge(self.limit));
        }
        self.hash.update(bytes);
        self.encoding.push(bytes);
        for piece in bytes.chunks(UPLOAD_FRAME_BYTES) {
            self.buffer.extend_from_slice(piece);
            if self.buffer.len() >= UPLOAD_FRAME_BYTES * UPLOAD_FRAMES_MAX {
                self.store(commands).await?;
            }
        }
        Ok(())
    }

    async fn store(&mut self, commands: &Commands) -> Result<(), CommandError> {
        let now = commands.clock.now();
        let frame = |piece: &[u8]| (self.subject, Personal::new(UploadFrame(BASE64_STANDARD.encode(piece))));
        let frames: Vec<_> = self.buffer.chunks(UPLOAD_FRAME_BYTES).map(frame).collect();
        let sealed = commands.vault.seal_many(self.account, &frames, now.day()).await;
        let sealed = sealed.into_iter().collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<_> = sealed.iter().map(wasend_domain::Sealed::as_str).collect();
        commands.uploads.put(&self.id, UploadPart::Frame, self.frames, &texts, now).await?;
        self.frames += texts.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// The file is complete: its id and its size in bytes.
    pub async fn finish(mut self, commands: &Commands) -> Result<(UploadId, u64), CommandError> {
        self.store(commands).await?;
        let digest = Personal::new(BASE64_STANDARD.encode(self.hash.finalize()));
        // Under the file's own key, which is destroyed with it: a file may name one person alone.
        let content = commands.vault.fingerprint(self.account, self.subject, &digest).await?;
        commands.uploads.complete(self.id, self.bytes, self.encoding.finish().name(), &content).await?;
        Ok((self.id, self.bytes))
    }
}

impl Commands {
    /// Begins to take in a file.
    pub async fn upload(&self, caller: Caller) -> Result<IncomingUpload, CommandError> {
        let (account, now) = (caller.account_id, self.clock.now());
        let id = UploadId::random();
        let subject = self.vault.create_subject(account).await?;
        self.uploads.begin(id, account, subject, now).await?;
        let (hash, encoding) = (Sha256::new(), EncodingCheck::default());
        let limit = self.upload_limit;
        Ok(IncomingUpload { id, account, subject, buffer: Vec::new(), frames: 0, bytes: 0, hash, encoding, limit })
    }

    /// Takes in a file that came with the command.
    pub(super) async fn take_in(&self, caller: Caller, content: &Personal<String>) -> Result<UploadId, CommandError> {
        let mut incoming = self.upload(caller).await?;
        match incoming.push(self, content.expose().as_bytes()).await {
            Ok(()) => Ok(incoming.finish(self).await?.0),
            Err(UploadError::Command(error)) => Err(error),
            Err(error @ UploadError::TooLarge(_)) => Err(Refusal::new("content", RefusalCode::TooLong, error).into()),
        }
    }
}
