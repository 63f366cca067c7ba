//! What the columns of a file hold.

mod contents;
mod names;

use std::collections::HashSet;

use wasend_commands::contact::ATTRIBUTE_NAME_MAX;
use wasend_domain::import::{ColumnTarget, FileError, ImportSource, LayoutColumn, NumberNotation};
use wasend_domain::phone::{PhoneRegion, is_invisible_mark};

use super::cell::unescape_formula;
use super::record::Record;
use super::titles::{self, PhoneRank, TitleMeaning, meaning};

/// Most columns of a file.
pub(crate) const COLUMNS_MAX: usize = 500;
/// Before the title of a column that is an attribute whatever its name.
pub const ATTRIBUTE: &str = "attribute:";
/// Title of the column in which an export says why a contact could not be read; an import passes over it.
pub const UNAVAILABLE: &str = "wasend_unavailable";

/// Titles of an export of ours that are no attributes.
const FIXED: [&str; 4] = ["phone", "bsuid", "name", "opted_out"];

/// What the columns of a file hold, and how its numbers are read.
#[derive(Clone)]
pub(crate) struct RowColumns {
    pub columns: Vec<LayoutColumn>,
    /// Those with numbers, the one that is asked first before the others.
    pub phones: Vec<PhoneColumn>,
    /// Whether the file has a row of titles.
    pub has_header: bool,
    pub region: Option<PhoneRegion>,
    pub notation: NumberNotation,
}

impl RowColumns {
    /// Whether a column says whose a row is.
    pub fn names_people(&self) -> bool {
        !self.phones.is_empty() || self.columns.iter().any(|column| column.field == ColumnTarget::Bsuid)
    }
}

/// A column with numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PhoneColumn {
    pub place: usize,
    /// Ids of WhatsApp, which are in international form.
    pub is_wa_id: bool,
    /// The column that says what kind of number it is, as in exports of Google's.
    pub label: Option<usize>,
    /// The attribute that keeps a number of it that is not the contact's.
    pub attribute: String,
}

/// Finds out what each column holds: by the mapping, else by its title, else by the cells of the first rows. What has no
/// known title is an attribute.
pub(crate) fn columns(sample: &[Record], source: &ImportSource) -> Result<RowColumns, FileError> {
    let Some(first) = sample.first() else { return Err(FileError::EmptyFile) };
    if first.cells.len() > COLUMNS_MAX {
        return Err(FileError::TooManyColumns);
    }
    let has_header = !contents::is_headerless(first, source);
    let titles = titles_of(first, has_header);
    if titles.iter().any(|title| title.contains('\0')) || titles.iter().all(String::is_empty) {
        return Err(FileError::EmptyHeader);
    }
    let rows = if has_header { &sample[1..] } else { sample };
    let mut choice = ColumnChoice { fields: mapped(&titles, source)?, titles, phones: Vec::new() };
    choice.by_title();
    if choice.phones.is_empty() && !choice.has(&ColumnTarget::Bsuid) {
        choice.by_contents(rows, has_header, source);
    }
    choice.into_columns(has_header, source)
}

/// The titles: without what no reader sees, made up where the file has none, and numbered where two are equal.
fn titles_of(first: &Record, has_header: bool) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut titles = Vec::with_capacity(first.cells.len());
    for (place, cell) in first.cells.iter().enumerate() {
        let clean: String = cell.chars().filter(|c| !is_invisible_mark(*c)).collect();
        let title =
            if has_header { unescape_formula(clean.trim()).to_owned() } else { format!("column {}", place + 1) };
        if title.is_empty() || seen.insert(normal(&title)) {
            titles.push(title);
            continue;
        }
        let numbered =
            (2..=COLUMNS_MAX + 1).map(|number| format!("{title} ({number})")).find(|title| seen.insert(normal(title)));
        titles.push(numbered.unwrap_or(title));
    }
    titles
}

fn mapped(titles: &[String], source: &ImportSource) -> Result<Vec<Option<ColumnTarget>>, FileError> {
    let mut fields = vec![None; titles.len()];
    for mapping in &source.columns {
        let wanted = normal(mapping.header.trim());
        let place = titles.iter().position(|title| normal(title) == wanted).ok_or(FileError::UnknownColumn)?;
        fields[place].get_or_insert(mapping.field.clone());
    }
    for (field, title) in fields.iter_mut().zip(titles) {
        if normal(title) == UNAVAILABLE || title.is_empty() {
            field.get_or_insert(ColumnTarget::Ignore);
        }
    }
    Ok(fields)
}

fn meaning_of(title: &str) -> TitleMeaning {
    if title.starts_with(ATTRIBUTE) { TitleMeaning::Unknown } else { meaning(title) }
}

/// Columns while it is found out what they hold.
struct ColumnChoice {
    titles: Vec<String>,
    fields: Vec<Option<ColumnTarget>>,
    phones: Vec<PhoneColumn>,
}

impl ColumnChoice {
    fn has(&self, field: &ColumnTarget) -> bool {
        self.fields.iter().flatten().any(|known| known == field)
    }

    fn by_title(&mut self) {
        // In an export of ours every title but the fixed ones is an attribute's.
        let is_ours = self.titles.iter().any(|title| normal(title) == UNAVAILABLE);
        let of = |title: &String| {
            if is_ours && !FIXED.contains(&title.as_str()) { TitleMeaning::Unknown } else { meaning_of(title) }
        };
        let meanings: Vec<TitleMeaning> = self.titles.iter().map(of).collect();
        self.find_phones(&meanings);
        for (place, meaning) in meanings.iter().enumerate() {
            let field = match meaning {
                // Each of several counts.
                TitleMeaning::OptedOut => ColumnTarget::OptedOut,
                TitleMeaning::Bsuid if !self.has(&ColumnTarget::Bsuid) => ColumnTarget::Bsuid,
                _ => continue,
            };
            self.fields[place].get_or_insert(field);
        }
        names::choose(&meanings, &mut self.fields);
    }

    fn find_phones(&mut self, meanings: &[TitleMeaning]) {
        let is_number = |field: &ColumnTarget| matches!(field, ColumnTarget::Phone | ColumnTarget::WaId);
        let given = (0..self.fields.len()).filter(|place| self.fields[*place].as_ref().is_some_and(is_number));
        let given: Vec<usize> = given.collect();
        if !given.is_empty() {
            // The caller says which it is.
            for place in given {
                self.take_phone(place, self.fields[place] == Some(ColumnTarget::WaId));
            }
            return;
        }
        let rank = |place: usize| match meanings[place] {
            TitleMeaning::Phone(rank) if self.fields[place].is_none() => Some((rank, place)),
            _ => None,
        };
        let mut ranked: Vec<(PhoneRank, usize)> = (0..meanings.len()).filter_map(rank).collect();
        ranked.sort_unstable();
        // What only speaks of a number is no phone beside one that is.
        let is_sure = ranked.first().is_some_and(|(rank, _)| *rank < PhoneRank::Number);
        ranked.retain(|(rank, _)| !is_sure || *rank != PhoneRank::Number);
        for (rank, place) in ranked {
            self.take_phone(place, rank == PhoneRank::WaId);
        }
    }

    fn take_phone(&mut self, place: usize, is_wa_id: bool) {
        if self.phones.is_empty() {
            self.fields[place] = Some(if is_wa_id { ColumnTarget::WaId } else { ColumnTarget::Phone });
        }
        let plain = titles::plain(&self.titles[place]);
        let kinds = ["type", "label"].map(|kind| plain.strip_suffix("value").map(|stem| format!("{stem}{kind}")));
        let is_label = |title: &String| kinds.iter().flatten().any(|kind| titles::plain(title) == *kind);
        let label = self.titles.iter().position(is_label);
        let title = &self.titles[place];
        let attribute = title.strip_prefix(ATTRIBUTE).unwrap_or(title).to_owned();
        self.phones.push(PhoneColumn { place, is_wa_id, label, attribute });
    }

    fn by_contents(&mut self, rows: &[Record], has_header: bool, source: &ImportSource) {
        let free: Vec<usize> = (0..self.fields.len()).filter(|place| self.fields[*place].is_none()).collect();
        if let Some(place) = contents::number_column(&free, rows, has_header, source) {
            self.take_phone(place, false);
        }
        if !has_header && !self.has(&ColumnTarget::Name) {
            let text = free.into_iter().find(|place| self.fields[*place].is_none() && contents::is_text(rows, *place));
            if let Some(place) = text {
                self.fields[place] = Some(ColumnTarget::Name);
            }
        }
    }

    fn into_columns(self, has_header: bool, source: &ImportSource) -> Result<RowColumns, FileError> {
        let attribute = |(field, title): (Option<ColumnTarget>, &String)| {
            let name = title.strip_prefix(ATTRIBUTE).unwrap_or(title);
            field.unwrap_or_else(|| ColumnTarget::Attribute(name.to_owned()))
        };
        let mut fields: Vec<_> = self.fields.into_iter().zip(&self.titles).map(attribute).collect();
        shorten(&mut fields);
        check_once(&fields)?;
        let mut phones = self.phones;
        for phone in &mut phones {
            phone.attribute = match &fields[phone.place] {
                ColumnTarget::Attribute(name) => name.clone(),
                _ => phone.attribute.chars().take(ATTRIBUTE_NAME_MAX).collect(),
            };
        }
        let rank = |place: usize| phones.iter().position(|phone| phone.place == place);
        let column = |(place, (header, field)): (usize, (String, ColumnTarget))| {
            let phone_rank = rank(place).and_then(|rank| u32::try_from(rank + 1).ok());
            LayoutColumn { header, field, phone_rank }
        };
        let columns = self.titles.into_iter().zip(fields).enumerate().map(column).collect();
        Ok(RowColumns { columns, phones, has_header, region: source.region(), notation: source.numbers })
    }
}

fn check_once(fields: &[ColumnTarget]) -> Result<(), FileError> {
    let mut seen = HashSet::new();
    let key = |field: &ColumnTarget| match field {
        ColumnTarget::Phone | ColumnTarget::WaId => Some("phone".to_owned()),
        ColumnTarget::Bsuid => Some("bsuid".to_owned()),
        ColumnTarget::Name => Some("name".to_owned()),
        ColumnTarget::FirstName => Some("first name".to_owned()),
        ColumnTarget::MiddleName => Some("middle name".to_owned()),
        ColumnTarget::LastName => Some("last name".to_owned()),
        ColumnTarget::Attribute(name) => Some(format!("attribute {name}")),
        ColumnTarget::OptedOut | ColumnTarget::Ignore => None,
    };
    let is_new = fields.iter().filter_map(key).all(|key| seen.insert(key));
    if is_new { Ok(()) } else { Err(FileError::DuplicateHeader) }
}

/// Cuts names of attributes that are longer than allowed, such as the questions of a form; two that would be the same are
/// numbered.
fn shorten(fields: &mut [ColumnTarget]) {
    let name = |field: &ColumnTarget| match field {
        ColumnTarget::Attribute(name) => Some(name.clone()),
        _ => None,
    };
    let mut taken: HashSet<String> = fields.iter().filter_map(name).collect();
    for field in fields {
        let ColumnTarget::Attribute(name) = field else { continue };
        if name.chars().count() <= ATTRIBUTE_NAME_MAX {
            continue;
        }
        let cut = |room: usize| name.chars().take(room).collect::<String>();
        let numbered = (2..).map(|number| {
            let mark = format!(" ({number})");
            cut(ATTRIBUTE_NAME_MAX - mark.chars().count()) + &mark
        });
        let short = std::iter::once(cut(ATTRIBUTE_NAME_MAX)).chain(numbered).find(|short| !taken.contains(short));
        if let Some(short) = short {
            taken.insert(short.clone());
            *name = short;
        }
    }
}

/// Titles of an export: the fixed ones, and then each attribute's, which is never taken for one of them.
pub fn titles(fixed: &[&str], attributes: impl Iterator<Item = String>) -> Vec<String> {
    let mut titles: Vec<String> = fixed.iter().map(|title| (*title).to_owned()).collect();
    let mut seen: HashSet<_> = titles.iter().map(|title| normal(title)).collect();
    for name in attributes {
        let is_plain = !name.starts_with(ATTRIBUTE) && !is_spoken_for(&name) && seen.insert(normal(&name));
        titles.push(if is_plain { name } else { format!("{ATTRIBUTE}{name}") });
    }
    titles
}

/// Whether an import would take the title for something else than an attribute.
fn is_spoken_for(title: &str) -> bool {
    let shown: String = title.chars().filter(|c| !is_invisible_mark(*c)).collect();
    meaning(title) != TitleMeaning::Unknown || shown.trim() != title || title.is_empty()
}

/// One spelling of a title. Marked attributes are taken at their word.
fn normal(title: &str) -> String {
    if title.starts_with(ATTRIBUTE) {
        return title.to_owned();
    }
    let shown = title.chars().filter(|c| !is_invisible_mark(*c));
    shown
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_whitespace() || matches!(c, '-' | '.') { '_' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
