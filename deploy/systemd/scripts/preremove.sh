#!/bin/sh
# An upgrade leaves the old process running until an operator restarts it.
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now boxoffice.service boxoffice-migrate.service mockpay.service || true
fi
