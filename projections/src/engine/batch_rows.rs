//! The working set of a batch: the rows that its events may touch, loaded once, folded in memory, and compared
//! with what was loaded, so that only what changed is written.

use std::any::Any;
use std::cell::Cell as Flag;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::engine::cell::CellValue;
use crate::engine::table::{CellReader, DamagedRow, TableRecord};

/// A row as the database gives it: its key, and the cells after it.
pub(crate) type RawRow = Vec<CellValue>;

/// Collects which rows a batch of events may touch.
#[derive(Default)]
pub struct BatchKeys {
    sets: RecordSets,
}

impl BatchKeys {
    /// Names a row that the fold of this event may read, write or delete. Rows of append-only tables need no naming.
    pub fn touch<R: TableRecord>(&mut self, id: impl Into<String>) {
        if let Some(set) = self.sets.of::<R>().filter(|_| !R::TABLE.append_only) {
            set.rows.entry(id.into()).or_default();
        }
    }

    /// Takes the rows over that the batch before has made, where they are named again.
    pub(crate) fn carry(&mut self, before: &mut BatchRows) {
        for (table, set) in &mut self.sets.0 {
            if let Some(before) = before.sets.0.get_mut(table) {
                set.carry(before.as_mut());
            }
        }
    }

    /// The tables to load from, with the ids to load.
    pub(crate) fn wanted(&self) -> Vec<(&'static str, Vec<String>)> {
        // No row has U+0000 in its id, and PostgreSQL would refuse the question.
        let ids = |set: &dyn AnySet| set.wanted().into_iter().filter(|id| !id.contains('\0')).collect::<Vec<_>>();
        self.sets.0.iter().map(|(table, set)| (*table, ids(set.as_ref()))).filter(|(_, ids)| !ids.is_empty()).collect()
    }

    /// Takes in a row that the database holds of those wanted.
    pub(crate) fn fill(&mut self, table: &str, row: RawRow) -> Result<(), DamagedRow> {
        self.sets.0.get_mut(table).map_or(Ok(()), |set| set.fill(row))
    }

    pub(crate) fn into_rows(self) -> BatchRows {
        BatchRows { sets: self.sets, misuse: Flag::new(None) }
    }
}

/// The rows of a batch, as its events fold into them.
#[derive(Default)]
pub struct BatchRows {
    sets: RecordSets,
    misuse: Flag<Option<&'static str>>,
}

impl BatchRows {
    /// The row as the events so far have made it. A row that `keys` did not name is not known, and asking for one
    /// (or for one of an append-only table) stops the projection, since the answer would depend on the batch.
    pub fn get<R: TableRecord>(&self, id: &str) -> Option<&R> {
        let slot = self.sets.find::<R>().and_then(|set| set.rows.get(id));
        if slot.is_none() {
            self.misuse.set(Some(R::TABLE.name));
        }
        slot?.now.as_deref()
    }

    /// The same, to be changed in its place. Its id must stay.
    pub fn get_mut<R: TableRecord>(&mut self, id: &str) -> Option<&mut R> {
        let slot = self.sets.of::<R>().and_then(|set| set.rows.get_mut(id));
        if slot.is_none() {
            self.misuse.set(Some(R::TABLE.name));
        }
        slot?.now.as_mut().map(Arc::make_mut)
    }

    /// Inserts the row, or replaces the one of the same id.
    pub fn put<R: TableRecord>(&mut self, record: R) {
        let Some(set) = self.sets.of::<R>() else { return self.misuse.set(Some(R::TABLE.name)) };
        if R::TABLE.append_only {
            set.added.push(record);
        } else if let Some(slot) = set.rows.get_mut(&record.id()) {
            slot.now = Some(Arc::new(record));
        } else {
            self.misuse.set(Some(R::TABLE.name));
        }
    }

    /// Removes the row if there is one.
    pub fn delete<R: TableRecord>(&mut self, id: &str) {
        match self.sets.of::<R>().and_then(|set| set.rows.get_mut(id)) {
            Some(slot) => slot.now = None,
            None => self.misuse.set(Some(R::TABLE.name)),
        }
    }

    /// The table that a fold used without naming the row, if any did since the last call.
    pub(crate) fn misused(&self) -> Option<&'static str> {
        self.misuse.take()
    }

    /// Undoes every fold: the rows are again as they were loaded.
    pub(crate) fn reset(&mut self) {
        self.misuse.set(None);
        self.sets.0.values_mut().for_each(|set| set.reset());
    }

    /// What is to be written, in order of table and id. Gives the rows of append-only tables away.
    pub(crate) fn changes(&mut self) -> Vec<TableChanges> {
        let changes = self.sets.0.values_mut().map(|set| set.changes());
        changes.filter(|c| !c.is_empty()).collect()
    }
}

/// The rows of one table that a batch changed.
#[derive(Debug, Default)]
pub(crate) struct TableChanges {
    pub table: &'static str,
    /// Rows that the table does not have.
    pub inserts: Vec<RawRow>,
    /// Rows that it has otherwise.
    pub updates: Vec<RawRow>,
    pub deletes: Vec<String>,
}

impl TableChanges {
    fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.updates.is_empty() && self.deletes.is_empty()
    }

    /// The rows of the table that the batch touched.
    pub fn rows(&self) -> impl Iterator<Item = &RawRow> {
        self.inserts.iter().chain(&self.updates)
    }
}

/// One typed set for each table, by the table's name.
#[derive(Default)]
struct RecordSets(BTreeMap<&'static str, Box<dyn AnySet>>);

impl RecordSets {
    /// None if the table belongs to another record type.
    fn of<R: TableRecord>(&mut self) -> Option<&mut RecordSet<R>> {
        let set = self.0.entry(R::TABLE.name).or_insert_with(|| Box::new(RecordSet::<R>::default()));
        set.as_any_mut().downcast_mut()
    }

    fn find<R: TableRecord>(&self) -> Option<&RecordSet<R>> {
        self.0.get(R::TABLE.name)?.as_any().downcast_ref()
    }
}

struct RecordSet<R> {
    rows: HashMap<String, RowSlot<R>>,
    /// Of an append-only table, which has nothing else.
    added: Vec<R>,
}

/// A row before and after; shared where nothing has changed it.
struct RowSlot<R> {
    /// Whether what stood before is known, or must be loaded.
    known: bool,
    loaded: Option<Arc<R>>,
    now: Option<Arc<R>>,
}

impl<R> Default for RecordSet<R> {
    fn default() -> Self {
        Self { rows: HashMap::new(), added: Vec::new() }
    }
}

impl<R> Default for RowSlot<R> {
    fn default() -> Self {
        Self { known: false, loaded: None, now: None }
    }
}

impl<R: PartialEq> RowSlot<R> {
    fn is_changed(&self) -> bool {
        match (&self.loaded, &self.now) {
            (Some(loaded), Some(now)) => !Arc::ptr_eq(loaded, now) && loaded != now,
            (None, None) => false,
            _ => true,
        }
    }
}

/// A [`RecordSet`] seen without its type.
trait AnySet: Send {
    fn carry(&mut self, before: &mut dyn AnySet);
    fn wanted(&self) -> Vec<String>;
    fn fill(&mut self, row: RawRow) -> Result<(), DamagedRow>;
    fn reset(&mut self);
    fn changes(&mut self) -> TableChanges;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<R: TableRecord> AnySet for RecordSet<R> {
    fn carry(&mut self, before: &mut dyn AnySet) {
        let Some(before) = before.as_any_mut().downcast_mut::<Self>() else { return };
        for (id, slot) in &mut self.rows {
            if let Some(before) = before.rows.remove(id) {
                *slot = RowSlot { known: true, loaded: before.now.clone(), now: before.now };
            }
        }
    }

    fn wanted(&self) -> Vec<String> {
        self.rows.iter().filter(|(_, slot)| !slot.known).map(|(id, _)| id.clone()).collect()
    }

    fn fill(&mut self, row: RawRow) -> Result<(), DamagedRow> {
        let record = Arc::new(R::from_cells(&mut CellReader::new(R::TABLE, row))?);
        self.rows.insert(record.id(), RowSlot { known: true, loaded: Some(Arc::clone(&record)), now: Some(record) });
        Ok(())
    }

    fn reset(&mut self) {
        self.added.clear();
        self.rows.values_mut().for_each(|slot| slot.now.clone_from(&slot.loaded));
    }

    fn changes(&mut self) -> TableChanges {
        let mut changes = TableChanges { table: R::TABLE.name, ..TableChanges::default() };
        // In the order of their positions.
        changes.inserts.extend(self.added.drain(..).map(TableRecord::into_cells));
        for (id, slot) in self.rows.iter().filter(|(_, slot)| slot.is_changed()) {
            match (&slot.loaded, &slot.now) {
                (None, Some(record)) => changes.inserts.push(R::clone(record).into_cells()),
                (Some(_), Some(record)) => changes.updates.push(R::clone(record).into_cells()),
                (_, None) => changes.deletes.push(id.clone()),
            }
        }
        // One order of rows for every writer, and neighbours in the index together.
        changes.inserts.sort_unstable_by(|a, b| a.first().cmp(&b.first()));
        changes.updates.sort_unstable_by(|a, b| a.first().cmp(&b.first()));
        changes.deletes.sort_unstable();
        changes
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
