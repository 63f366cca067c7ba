//! The working set of a batch: the rows that its events may touch, loaded once, folded in memory, and compared
//! with what was loaded, so that only what changed is written.

use std::any::Any;
use std::cell::Cell as Flag;
use std::collections::{BTreeMap, HashMap};

use crate::engine::table::{Cell, Damaged, Reader, Record, Table};

/// A row as the database gives it: its id and the cells after it.
pub(crate) type RawRow = (String, Vec<Cell>);

/// Collects which rows a batch of events may touch.
#[derive(Default)]
pub struct Keys {
    sets: Sets,
}

impl Keys {
    /// Names a row that the fold of this event may read, write or delete. Rows of append-only tables need no naming.
    pub fn touch<R: Record>(&mut self, id: impl Into<String>) {
        if let Some(set) = self.sets.of::<R>() {
            set.rows.entry(id.into()).or_default();
        }
    }

    /// The tables to load from, with the ids to load.
    pub(crate) fn wanted(&self) -> Vec<(&'static str, Vec<String>)> {
        let sets = self.sets.0.values().filter(|set| !set.table().append_only);
        // No row has U+0000 in its id, and PostgreSQL would refuse the question.
        let ids = |set: &dyn AnySet| set.ids().into_iter().filter(|id| !id.contains('\0')).collect::<Vec<_>>();
        sets.map(|set| (set.table().name, ids(set.as_ref()))).filter(|(_, ids)| !ids.is_empty()).collect()
    }

    /// Takes in what the database holds of one table's wanted rows.
    pub(crate) fn fill(&mut self, table: &str, found: Vec<RawRow>) -> Result<(), Damaged> {
        match self.sets.0.get_mut(table) {
            Some(set) => found.into_iter().try_for_each(|(id, cells)| set.fill(id, cells)),
            None => Ok(()),
        }
    }

    pub(crate) fn into_rows(self) -> Rows {
        Rows { sets: self.sets, misuse: Flag::new(None) }
    }
}

/// The rows of a batch, as its events fold into them.
pub struct Rows {
    sets: Sets,
    misuse: Flag<Option<&'static str>>,
}

impl Rows {
    /// The row as the events so far have made it. A row that `keys` did not name is not known, and asking for one
    /// (or for one of an append-only table) stops the projection, since the answer would depend on the batch.
    pub fn get<R: Record>(&self, id: &str) -> Option<&R> {
        let slot = self.sets.find::<R>().and_then(|set| set.rows.get(id));
        if slot.is_none() || R::TABLE.append_only {
            self.misuse.set(Some(R::TABLE.name));
        }
        slot?.now.as_ref()
    }

    /// Inserts the row, or replaces the one of the same id.
    pub fn put<R: Record>(&mut self, record: R) {
        let id = record.id();
        match self.slot::<R>(id) {
            Some(slot) => slot.now = Some(record),
            None => self.misuse.set(Some(R::TABLE.name)),
        }
    }

    /// Removes the row if there is one.
    pub fn delete<R: Record>(&mut self, id: &str) {
        match self.slot::<R>(id.to_owned()) {
            Some(slot) if !R::TABLE.append_only => slot.now = None,
            _ => self.misuse.set(Some(R::TABLE.name)),
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

    /// What is to be written, in order of table and id.
    pub(crate) fn changes(&self) -> Vec<Changes> {
        self.sets
            .0
            .values()
            .map(|set| set.changes())
            .filter(|c| !c.upserts.is_empty() || !c.deletes.is_empty())
            .collect()
    }

    fn slot<R: Record>(&mut self, id: String) -> Option<&mut Slot<R>> {
        let set = self.sets.of::<R>()?;
        if R::TABLE.append_only { Some(set.rows.entry(id).or_default()) } else { set.rows.get_mut(&id) }
    }
}

/// The rows of one table that a batch changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub table: &'static str,
    pub upserts: Vec<RawRow>,
    pub deletes: Vec<String>,
}

/// One typed set for each table, by the table's name.
#[derive(Default)]
struct Sets(BTreeMap<&'static str, Box<dyn AnySet>>);

impl Sets {
    /// None if the table belongs to another record type.
    fn of<R: Record>(&mut self) -> Option<&mut Set<R>> {
        let set = self.0.entry(R::TABLE.name).or_insert_with(|| Box::new(Set::<R> { rows: HashMap::new() }));
        set.as_any_mut().downcast_mut()
    }

    fn find<R: Record>(&self) -> Option<&Set<R>> {
        self.0.get(R::TABLE.name)?.as_any().downcast_ref()
    }
}

struct Set<R> {
    rows: HashMap<String, Slot<R>>,
}

struct Slot<R> {
    loaded: Option<R>,
    now: Option<R>,
}

impl<R> Default for Slot<R> {
    fn default() -> Self {
        Self { loaded: None, now: None }
    }
}

/// A [`Set`] seen without its type.
trait AnySet: Send {
    fn table(&self) -> &'static Table;
    fn ids(&self) -> Vec<String>;
    fn fill(&mut self, id: String, cells: Vec<Cell>) -> Result<(), Damaged>;
    fn reset(&mut self);
    fn changes(&self) -> Changes;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<R: Record> AnySet for Set<R> {
    fn table(&self) -> &'static Table {
        R::TABLE
    }

    fn ids(&self) -> Vec<String> {
        self.rows.keys().cloned().collect()
    }

    fn fill(&mut self, id: String, cells: Vec<Cell>) -> Result<(), Damaged> {
        let record = R::from_cells(id.clone(), &mut Reader::new(R::TABLE, cells))?;
        self.rows.insert(id, Slot { loaded: Some(record.clone()), now: Some(record) });
        Ok(())
    }

    fn reset(&mut self) {
        self.rows.values_mut().for_each(|slot| slot.now.clone_from(&slot.loaded));
    }

    fn changes(&self) -> Changes {
        let mut changes = Changes { table: R::TABLE.name, ..Changes::default() };
        for (id, slot) in self.rows.iter().filter(|(_, slot)| slot.now != slot.loaded) {
            match &slot.now {
                Some(record) => changes.upserts.push((id.clone(), record.cells())),
                None => changes.deletes.push(id.clone()),
            }
        }
        // One order of rows for every writer, and neighbours in the index together.
        changes.upserts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
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
