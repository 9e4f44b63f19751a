"""Transfer methods: LightningModules that define the loss terms of a batch."""
