//! What the log says was destroyed stays destroyed, also when the vault is put back to a copy in which it was not. The
//! log decides: its last destruction has a number that such a copy has not reached yet.

use std::time::Duration;

use wasend_commands::{CommandError, Commands};
use wasend_domain::contact::Contact;
use wasend_domain::privacy::{Command, Destruction};
use wasend_domain::{Actor, Position};
use wasend_eventlog::{Stream, load};
use wasend_projections::privacy::PrivacyRequestRow;
use wasend_projections::{Cell, Projector, Reads, State};
use wasend_vault::Vault;

use super::{Open, record};

const REPEATER: Actor = Actor::System("eraser");
const PAGE: u64 = 500;
const PAUSE: Duration = Duration::from_millis(50);
const LAST: &str = "WHERE destruction > $1 ORDER BY destruction DESC, id LIMIT 1";
const LOST: &str = "WHERE destruction > $1 AND id > $2 ORDER BY id LIMIT $3";

/// Destroys again what a restored vault brought back; how many requests were repeated for it. To be done before
/// anybody can ask for anything. It may be repeated, and begins anew after a crash.
pub async fn repeat(commands: &Commands, projector: &Projector) -> Result<u64, CommandError> {
    until_current(projector, commands.log.head().await?).await?;
    let (vault, reads) = (&commands.vault, &commands.reads);
    let known = vault.last_destruction().await?;
    let last = reads.fetch::<PrivacyRequestRow>(LAST, &[Cell::from(known)]).await?;
    let Some(last) = last.first().and_then(|row| row.destruction) else { return Ok(0) };
    tracing::warn!("the vault's store is an earlier copy than the log: what was erased since is erased again");
    let mut repeated = 0;
    let mut after = String::new();
    loop {
        let page = [Cell::from(known), Cell::from(after.as_str()), Cell::count(PAGE)];
        let rows: Vec<PrivacyRequestRow> = reads.fetch(LOST, &page).await?;
        let Some(end) = rows.last() else { break };
        after.clone_from(&end.id);
        for open in rows.iter().filter_map(Open::of) {
            repeated += u64::from(repeat_one(commands, &open, last + 1).await?);
        }
    }
    // Only now does the vault count as being where the log is.
    vault.restored(last + 1).await?;
    tracing::warn!(repeated, "what was erased is erased again");
    Ok(repeated)
}

/// Whether the vault is an earlier copy, as far as the list of requests knows.
pub async fn is_due(reads: &Reads, vault: &Vault) -> Result<bool, CommandError> {
    let known = vault.last_destruction().await?;
    Ok(!reads.fetch::<PrivacyRequestRow>(LAST, &[Cell::from(known)]).await?.is_empty())
}

/// Whether a key was there again.
async fn repeat_one(commands: &Commands, open: &Open, number: i64) -> Result<bool, CommandError> {
    let vault = &commands.vault;
    let living = vault.living(open.account, open.subject).await?;
    let fingerprints: Vec<_> = living.into_iter().map(|(_, fingerprint)| fingerprint).collect();
    let is_back = !fingerprints.is_empty();
    if is_back {
        // Before it is done: nothing becomes unreadable without being recorded.
        let destruction = Destruction { number, at: commands.clock.now() };
        record(commands, open, REPEATER, Command::Repeat { fingerprints, destruction }).await?;
        tracing::warn!(request.id = %open.request, "a person who was erased was in the restored vault");
    }
    let id = open.subject.uuid();
    let mut contact = load::<Contact>(&*commands.log, open.account, &[id]).await?;
    let contact = contact.remove(&id).and_then(Stream::present);
    let opted_out = contact.is_some_and(|contact| contact.state.opted_out);
    vault.unlink(open.account, open.subject, opted_out).await?;
    vault.destroy_again(open.account, open.subject, &open.why()).await?;
    vault.remove_from_directory(open.account, open.subject).await?;
    Ok(is_back)
}

/// Waits until the list of requests shows everything up to the position, or has stopped at an event: then what it shows
/// is all that can be known, and the stop is told of elsewhere.
async fn until_current(projector: &Projector, head: Position) -> Result<(), CommandError> {
    loop {
        let all = projector.status().await.map_err(CommandError::unavailable)?;
        let list = all.into_iter().find(|status| status.current && status.name == "privacy");
        match list {
            Some(list) if list.position < head && list.state != State::Poisoned => tokio::time::sleep(PAUSE).await,
            _ => return Ok(()),
        }
    }
}
