#!/usr/bin/env python3
"""Imports a detector trained in scikit-learn: `driftseal.import_sklearn`, for use without installing anything."""
import sys

from driftseal.import_sklearn import Exported, UnsupportedEstimator, export, main

__all__ = ["Exported", "UnsupportedEstimator", "export", "main"]

if __name__ == "__main__":
    sys.exit(main())
