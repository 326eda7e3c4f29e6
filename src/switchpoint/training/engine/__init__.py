"""What every training job goes through: plain torch or DeepSpeed, on one process or several."""
