"""`python -m beat`: the beat process."""

import sys

from beat.app import main
from callytics.errors import ConfigurationError

try:
    main()
except ConfigurationError as error:
    sys.exit(error.detail)
