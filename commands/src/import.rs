//! Imports of contacts: taking in a file, beginning, cancelling. The importer does the rest.

mod encoding;
mod upload;

use encoding_rs::Encoding;
use wasend_domain::import::{
    ColumnTarget, Command, Error, Import, ImportSource, ImportStart, MergeMode, NumberNotation,
};
use wasend_domain::phone::PhoneRegion;
use wasend_domain::{GroupId, ImportId, Personal, UploadId};
use wasend_eventlog::{execute, execute_new};
use wasend_projections::uploads::StoredUpload;

pub use encoding::EncodingCheck;
pub use upload::{IncomingUpload, UploadError};

use crate::{Caller, CommandEffect, CommandError, Commands, Refusal, RefusalCode};

/// Longest name of a file, in characters.
pub const FILENAME_MAX: usize = 200;
/// Most columns that a mapping names.
pub const MAPPING_MAX: usize = 100;

/// An import as the caller asked for it.
#[derive(Debug)]
pub struct ImportContacts {
    pub filename: Personal<String>,
    pub content: Option<Personal<String>>,
    pub upload: Option<String>,
    pub group: Option<String>,
    pub mode: MergeMode,
    pub dry_run: bool,
    /// Title of a column, and what it holds.
    pub columns: Personal<Vec<(String, ColumnTarget)>>,
    pub region: Option<String>,
    pub numbers: NumberNotation,
    /// Label of the encoding of the file, such as `windows-1251`.
    pub encoding: Option<String>,
}

impl Commands {
    /// Begins an import of what is given inline or was uploaded before.
    pub async fn import_contacts(
        &self,
        caller: Caller,
        input: ImportContacts,
    ) -> Result<CommandEffect<ImportId>, CommandError> {
        let source = import_source(&input)?;
        let group = match input.group.as_deref().map(str::parse::<GroupId>) {
            Some(Ok(group)) => {
                self.group_exists(caller, "groupId", group).await?;
                Some(group)
            }
            Some(Err(_)) => return Err(Refusal::not_found("groupId", "group").into()),
            None => None,
        };
        let upload = match (&input.content, &input.upload) {
            (Some(content), None) => self.take_in(caller, content).await?,
            (None, Some(upload)) => upload.parse().map_err(|_| Refusal::not_found("uploadId", "upload"))?,
            _ => {
                let text = "give either content or uploadId";
                return Err(Refusal::new("content", RefusalCode::Required, text).into());
            }
        };
        self.start(caller, upload, source, group, &input).await
    }

    async fn start(
        &self,
        caller: Caller,
        upload: UploadId,
        source: ImportSource,
        group: Option<GroupId>,
        input: &ImportContacts,
    ) -> Result<CommandEffect<ImportId>, CommandError> {
        let now = self.clock.now();
        let id = ImportId::fresh(now);
        let not_found = || CommandError::from(Refusal::not_found("uploadId", "upload"));
        // From here on the upload is this import's: should the start fail, it is removed as one that has none.
        if !self.uploads.claim(upload, caller.account_id, id).await? {
            return Err(not_found());
        }
        let Some(StoredUpload { bytes, content: Some(content), .. }) = self.uploads.get(upload).await? else {
            return Err(not_found());
        };
        let subject = self.vault.create_subject(caller.account_id).await?;
        let source = self.vault.seal(caller.account_id, subject, &Personal::new(source), now.day()).await?;
        let (mode, dry_run) = (input.mode, input.dry_run);
        let start = ImportStart { source, upload, content, bytes, mode, dry_run, group, at: now };
        let command = Command::Start(Box::new(start));
        let done = execute_new::<Import>(&*self.log, &*self.clock, Self::once(caller), id.uuid(), command).await;
        let done = done.map_err(|failure| CommandError::of(failure, "id", code))?;
        Ok(CommandEffect { value: id, position: done.position })
    }

    /// What is applied stays; nothing further is.
    pub async fn cancel_import(&self, caller: Caller, id: ImportId) -> Result<CommandEffect<ImportId>, CommandError> {
        let command = Command::Cancel { at: self.clock.now() };
        let done = execute::<Import>(&*self.log, &*self.clock, Self::once(caller), id.uuid(), command).await;
        let done = done.map_err(|failure| CommandError::of(failure, "id", code))?;
        Ok(CommandEffect { value: id, position: done.position })
    }
}

const fn code(error: Error) -> RefusalCode {
    match error {
        Error::NotFound => RefusalCode::NotFound,
        Error::Ended | Error::NotNext => RefusalCode::NotCancellable,
    }
}

/// How the file is to be read, as the caller says; refused where the caller names what is not known.
pub fn import_source(input: &ImportContacts) -> Result<ImportSource, CommandError> {
    let filename = wasend_domain::content::text(input.filename.expose(), FILENAME_MAX);
    let filename = filename.map_err(|error| Refusal::content("filename", &error))?.clone();
    if let Some(region) = &input.region {
        region.parse::<PhoneRegion>().map_err(|error| Refusal::new("defaultRegion", RefusalCode::Invalid, error))?;
    }
    let encoding = input.encoding.as_deref().map(|label| known_encoding(label, input.content.is_some())).transpose()?;
    let given = input.columns.expose();
    if given.len() > MAPPING_MAX {
        return Err(Refusal::new("columns", RefusalCode::TooMany, format_args!("at most {MAPPING_MAX} columns")).into());
    }
    let mut columns = Vec::with_capacity(given.len());
    for (index, (header, field)) in given.iter().enumerate() {
        let wrong = |name: &str, error| Refusal::content(&format!("columns.{index}.{name}"), &error);
        wasend_domain::content::text(header, FILENAME_MAX).map_err(|error| wrong("header", error))?;
        if let ColumnTarget::Attribute(name) = field {
            wasend_domain::content::text(name, crate::contact::ATTRIBUTE_NAME_MAX)
                .map_err(|error| wrong("attribute", error))?;
        }
        columns.push(wasend_domain::import::ColumnMapping { header: header.clone(), field: field.clone() });
    }
    Ok(ImportSource { filename, columns, region: input.region.clone(), numbers: input.numbers, encoding })
}

fn known_encoding(label: &str, is_inline: bool) -> Result<String, CommandError> {
    let refused = |why: &str| CommandError::from(Refusal::new("encoding", RefusalCode::Invalid, why));
    if is_inline {
        return Err(refused("is for uploads; content is text already"));
    }
    let encoding = Encoding::for_label_no_replacement(label.as_bytes());
    let encoding =
        encoding.ok_or_else(|| refused("is no encoding of the WHATWG's Encoding Standard, such as UTF-8"))?;
    Ok(encoding.name().to_owned())
}
