"""Transfer methods: each is a LightningModule that says which loss terms a batch gives."""
