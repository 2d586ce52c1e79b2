"""`make load`: one server for ten minutes, a thousand strangers, ten thousand episodes.

python -m tests.load        # 25 minutes; each part is a program of its own too
"""

import sys

from tests.load import connections, episodes, visits

if __name__ == "__main__":
    sys.exit(0 if all([connections.run(), visits.run(), episodes.run()]) else 1)
