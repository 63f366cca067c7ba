use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use wasend_commands::SenderCredentials;
use wasend_projections::numbers::NumberRow;
use wasend_whatsapp::simulator::{self, LinesUnavailable, SimulatedLine};

/// The simulator knows the numbers that are connected here and speak to it, as Meta would.
pub struct ConnectedNumbers(pub Arc<SenderCredentials>);

#[async_trait]
impl simulator::SimulatedLines for ConnectedNumbers {
    async fn line(&self, phone_number_id: &str) -> Result<Option<SimulatedLine>, LinesUnavailable> {
        let rows = self
            .0
            .connected(&[phone_number_id.to_owned()].into(), &BTreeSet::new())
            .await
            .map_err(|_| LinesUnavailable)?;
        match rows.first() {
            Some(row) => self.simulated(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn waba(&self, waba_id: &str) -> Result<Vec<SimulatedLine>, LinesUnavailable> {
        let mut lines = Vec::new();
        for row in
            self.0.connected(&BTreeSet::new(), &[waba_id.to_owned()].into()).await.map_err(|_| LinesUnavailable)?
        {
            lines.push(self.simulated(&row).await?);
        }
        Ok(lines)
    }
}

impl ConnectedNumbers {
    async fn simulated(&self, row: &NumberRow) -> Result<SimulatedLine, LinesUnavailable> {
        let credentials = self.0.credentials(row).await.map_err(|_| LinesUnavailable)?.into_exposed();
        Ok(SimulatedLine {
            phone_number_id: row.phone_number_id.clone(),
            waba_id: row.waba_id.clone(),
            // The display number is public; the simulator needs one of the right form only.
            display_phone_number: "15550783881".to_owned(),
            access_token: credentials.access_token,
            app_secret: credentials.app_secret,
        })
    }
}
