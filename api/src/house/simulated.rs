use std::sync::Arc;

use async_trait::async_trait;
use wasend_commands::Lines;
use wasend_projections::numbers::NumberRow;
use wasend_whatsapp::simulator::{self, SimulatedLine};

/// The simulator knows the numbers that are connected here and speak to it, as Meta would.
pub struct Connected(pub Arc<Lines>);

#[async_trait]
impl simulator::Lines for Connected {
    async fn line(&self, phone_number_id: &str) -> Option<SimulatedLine> {
        let rows = self.0.by_meta_id(phone_number_id).await.ok()?;
        self.simulated(rows.first()?).await
    }

    async fn waba(&self, waba_id: &str) -> Vec<SimulatedLine> {
        let mut lines = Vec::new();
        for row in self.0.by_waba(waba_id).await.unwrap_or_default() {
            lines.extend(self.simulated(&row).await);
        }
        lines
    }
}

impl Connected {
    async fn simulated(&self, row: &NumberRow) -> Option<SimulatedLine> {
        let credentials = self.0.credentials(row).await.ok()?.into_exposed();
        Some(SimulatedLine {
            phone_number_id: row.phone_number_id.clone(),
            waba_id: row.waba_id.clone(),
            // Its own number is what a business shows to everybody; the simulator needs one of the right form only.
            display_phone_number: "15550783881".to_owned(),
            access_token: credentials.access_token,
            app_secret: credentials.app_secret,
        })
    }
}
