#!/usr/bin/env bash
# Install the Debian packages of Slurm and its database, if this is Debian or Ubuntu and we are root; say so if not.
set -euo pipefail
if command -v sbatch >/dev/null && command -v mariadbd >/dev/null && command -v munged >/dev/null; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Slurm is not installed here, and only root can install it, with apt: its tests are skipped"
  exit 0
fi
# Nothing is to run but what the tests start: a policy keeps the packages from starting their daemons.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
  trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
  slurmctld slurmd slurm-client munge slurmdbd mariadb-server procps >/dev/null
