"""What is there for hosts that run other packages too; each module is of use only where its package is installed."""
