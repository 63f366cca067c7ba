//! Requests of people under privacy laws.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::privacy::ErasureInput;
use wasend_commands::{Caller, CommandEffect, CommandError};
use wasend_domain::account::KeyScope;
use wasend_domain::privacy::{self, RequestReason};
use wasend_domain::{Personal, PrivacyRequestId};
use wasend_projections::CellValue;
use wasend_projections::pagination::RowFilter;
use wasend_projections::privacy::PrivacyRequestRow;

use super::erasure::{ErasureObject, ShownValue, UnavailabilityObject, shown};
use super::error::{self, UserError};
use super::page::{OrderedRow, PageArguments, PageConnection, connect, cost};
use super::scalar::{DateTime, PositionScalar};
use super::state::{GraphqlState, MutationOutcome};
use crate::auth::{ContextExt, require};

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "privacy::RequestState")]
enum PrivacyRequestState {
    /// The contact is closed: nothing is accepted for it any more.
    Received,
    /// What waits is cancelled, what is under way ends, the keys are destroyed.
    Executing,
    /// Nothing of the person's can be read any more.
    Completed,
    /// It is not carried out.
    Refused,
}

/// The law under which a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "privacy::LegalRegime")]
enum PrivacyRegime {
    /// Regulation (EU) 2016/679: one month.
    Gdpr,
    /// California Civil Code 1798.100 and following: 45 days.
    Ccpa,
}

/// Why the person may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "privacy::LegalGround")]
enum ErasureGround {
    /// GDPR 17(1)(a).
    NoLongerNecessary,
    /// GDPR 17(1)(b).
    WithdrawnConsent,
    /// GDPR 17(1)(c).
    Objection,
    /// GDPR 17(1)(d).
    Unlawful,
    /// GDPR 17(1)(e).
    LegalObligation,
    /// GDPR 17(1)(f).
    Child,
    /// CCPA 1798.105(a); the only one of the CCPA.
    ConsumerRequest,
}

/// Why a request is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "privacy::LegalException")]
enum ErasureException {
    /// Freedom of expression and information.
    Expression,
    /// A law that requires the data to be kept.
    LegalObligation,
    /// Public health, research or archiving in the public interest.
    PublicInterest,
    /// Legal claims that are made or defended.
    LegalClaims,
    /// Who asks could not be identified.
    Unidentified,
}

/// GraphQL `PrivacyRequest` over its row.
pub struct PrivacyRequestObject(PrivacyRequestRow);

fn word<T: Copy, U: From<T>>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<U> {
    all.iter().find(|one| name(**one) == text).map(|one| U::from(*one))
}

/// A request to erase a person, and what was done about it.
#[Object(name = "PrivacyRequest")]
impl PrivacyRequestObject {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    async fn state(&self) -> PrivacyRequestState {
        self.0.state.into()
    }

    async fn regime(&self) -> Option<PrivacyRegime> {
        word(&privacy::LegalRegime::ALL, privacy::LegalRegime::name, &self.0.regime)
    }

    async fn ground(&self) -> Option<ErasureGround> {
        word(&privacy::LegalGround::ALL, privacy::LegalGround::name, &self.0.ground)
    }

    /// Why it was refused.
    async fn exception(&self) -> Option<ErasureException> {
        word(&privacy::LegalException::ALL, privacy::LegalException::name, self.0.exception.as_deref()?)
    }

    /// It was refused for a reason that keeps the person's data: they are not erased until `liftErasureHold` ends this.
    async fn holds(&self) -> bool {
        self.0.holds()
    }

    /// When the hold of its refusal was lifted.
    async fn hold_lifted_at(&self) -> Option<DateTime> {
        self.0.hold_lifted_at.map(DateTime)
    }

    /// The free text given with it. It is the person's own data: null once the person is erased, and where the vault had
    /// no key of theirs to keep it under.
    /// Needs the scope PRIVACY.
    #[graphql(guard = "require(KeyScope::Privacy)")]
    async fn reason(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.opened(ctx).await?.value)
    }

    /// Set once the reason is erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<ErasureObject>> {
        Ok(self.opened(ctx).await?.erased)
    }

    /// Set while the reason cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<UnavailabilityObject>> {
        Ok(self.opened(ctx).await?.unavailable)
    }

    /// The random id of the contact that it is about.
    async fn contact_id(&self) -> ID {
        self.0.contact_id.as_str().into()
    }

    /// By when it must be answered.
    async fn due_at(&self) -> DateTime {
        DateTime(self.0.due_at)
    }

    async fn received_at(&self) -> DateTime {
        DateTime(self.0.received_at)
    }

    /// Nothing waited or was under way any more, and the keys to be destroyed were recorded.
    async fn fenced_at(&self) -> Option<DateTime> {
        self.0.fenced_at.map(DateTime)
    }

    /// The keys were destroyed.
    async fn keys_destroyed_at(&self) -> Option<DateTime> {
        self.0.destroyed_at.map(DateTime)
    }

    /// Old copies of the vault (backups, write-ahead logs) hold the keys wrapped by the key of an epoch; at this moment
    /// that was destroyed on every node, so that no copy can be opened any more. How soon after `keysDestroyedAt`:
    /// the setting `vault.rotate_after`.
    async fn epoch_destroyed_at(&self) -> Option<DateTime> {
        self.0.epoch_destroyed_at.map(DateTime)
    }

    /// The number of that epoch, the last in which the keys were wrapped.
    async fn epoch(&self) -> Option<i64> {
        self.0.epoch
    }

    /// The vault was restored from a copy in which the keys still were, and they were destroyed again.
    async fn repeated_at(&self) -> Option<DateTime> {
        self.0.repeated_at.map(DateTime)
    }

    /// Fingerprints of the destroyed keys: SHA-256 of `wasend/kfp/v1` and the key, in hexadecimal.
    async fn key_fingerprints(&self) -> Vec<&str> {
        self.0.fingerprints.split_whitespace().collect()
    }

    /// The account knew no person of the number or BSUID: there was nothing to erase, and the request is completed.
    async fn held_nothing(&self) -> bool {
        self.0.held_nothing()
    }

    /// The person had opted out, and a keyed hash keeps the number from being written to. False where the vault could not
    /// read the number.
    async fn suppressed(&self) -> bool {
        self.0.suppressed
    }

    /// When it was completed or refused.
    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }
}

impl PrivacyRequestObject {
    async fn opened(&self, ctx: &Context<'_>) -> Result<ShownValue<String>> {
        let Some(sealed) = &self.0.reason else { return Ok(ShownValue::default()) };
        let opened = GraphqlState::of(ctx).loaders.open::<RequestReason>(ctx.actor()?.account_id, sealed).await?;
        Ok(shown(opened).map(|RequestReason(text)| text))
    }
}

impl OrderedRow for PrivacyRequestRow {
    const LIST: &'static str = "privacy";
    const COLUMN: &'static str = "id";

    fn key(&self) -> CellValue {
        CellValue::from(self.id.as_str())
    }
}

/// Queries of privacy requests.
#[derive(Default)]
pub struct PrivacyQuery;

#[Object]
impl PrivacyQuery {
    /// The account's requests, oldest first.
    #[graphql(guard = "require(KeyScope::Privacy)", complexity = "cost(first, last, child_complexity)")]
    async fn privacy_requests(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<PageConnection<PrivacyRequestObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let filter = RowFilter::of_account(&actor.account_id.to_string());
        let window = PageArguments::new(first, after, last, before);
        connect::<PrivacyRequestRow, _, _, _>(state, filter, &window, PrivacyRequestObject).await
    }

    #[graphql(guard = "require(KeyScope::Privacy)")]
    async fn privacy_request(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<PositionScalar>,
    ) -> Result<Option<PrivacyRequestObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let Ok(id) = id.parse::<PrivacyRequestId>() else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id.to_string()).await?.map(PrivacyRequestObject))
    }
}

/// The person that a request is about: exactly one of these.
#[derive(InputObject)]
struct ErasureSubjectInput {
    /// In international form.
    phone: Option<String>,
    bsuid: Option<String>,
    contact_id: Option<ID>,
}

#[derive(InputObject)]
struct RequestErasureInput {
    subject: ErasureSubjectInput,
    regime: PrivacyRegime,
    /// It must be one of the regime's.
    ground: ErasureGround,
    /// Free text, at most 2,000 characters. It is kept as the person's own data and erased with it.
    reason: Option<String>,
}

#[derive(InputObject)]
struct RefuseErasureInput {
    subject: ErasureSubjectInput,
    regime: PrivacyRegime,
    ground: ErasureGround,
    exception: ErasureException,
    reason: Option<String>,
}

#[derive(InputObject)]
struct LiftErasureHoldInput {
    /// Of the refused request.
    id: ID,
}

#[derive(SimpleObject)]
struct PrivacyRequestPayload {
    request: Option<PrivacyRequestObject>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

/// Mutations of privacy requests.
#[derive(Default)]
pub struct PrivacyMutation;

#[Object]
impl PrivacyMutation {
    /// Has a person erased: from now on nothing is accepted for them, and once the request is `COMPLETED` nothing of
    /// theirs can be read any more, anywhere. A person erased before is answered with the request of then.
    #[graphql(guard = "require(KeyScope::Privacy)")]
    async fn request_erasure(&self, ctx: &Context<'_>, input: RequestErasureInput) -> Result<PrivacyRequestPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let RequestErasureInput { subject, regime, ground, reason } = input;
        let input = given(subject, regime, ground, reason);
        payload(state, caller, state.commands.request_erasure(caller, input).await).await
    }

    /// Records that a request for erasure is not carried out. Every exception but `UNIDENTIFIED` holds the person's
    /// data from now on: `requestErasure` for them is refused with `ERASURE_HELD` until `liftErasureHold`.
    #[graphql(guard = "require(KeyScope::Privacy)")]
    async fn refuse_erasure(&self, ctx: &Context<'_>, input: RefuseErasureInput) -> Result<PrivacyRequestPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let RefuseErasureInput { subject, regime, ground, exception, reason } = input;
        let input = given(subject, regime, ground, reason);
        payload(state, caller, state.commands.refuse_erasure(caller, input, exception.into()).await).await
    }

    /// Ends the hold of a refused request: its exception applies no longer, and the person may be erased.
    #[graphql(guard = "require(KeyScope::Privacy)")]
    async fn lift_erasure_hold(&self, ctx: &Context<'_>, input: LiftErasureHoldInput) -> Result<PrivacyRequestPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match error::id("id", "request", &input.id) {
            Ok(id) => state.commands.lift_erasure_hold(caller, id).await,
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }
}

fn given(
    subject: ErasureSubjectInput,
    regime: PrivacyRegime,
    ground: ErasureGround,
    reason: Option<String>,
) -> ErasureInput {
    ErasureInput {
        phone: subject.phone.map(Personal::new),
        bsuid: subject.bsuid.map(Personal::new),
        contact_id: subject.contact_id.map(|id| id.0),
        regime: regime.into(),
        ground: ground.into(),
        reason: reason.map(Personal::new),
    }
}

async fn payload(
    state: &GraphqlState,
    caller: Caller,
    done: Result<CommandEffect<PrivacyRequestId>, CommandError>,
) -> Result<PrivacyRequestPayload> {
    let MutationOutcome { row, position, errors } = state.changed::<PrivacyRequestRow, _>(caller, done).await?;
    Ok(PrivacyRequestPayload { request: row.map(PrivacyRequestObject), position, errors })
}
