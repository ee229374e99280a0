#!/bin/bash
# Process 1 of a node. The environment tells its number (NODE); node 1 carries the control plane.
# Certificates, kubeconfigs, kubelet.yaml and the pod network's configuration were copied in before the start.
set -u
PKI=/etc/kubernetes/pki LOGS=/var/log/node ADDRESS=$(hostname -i) NAME=$(hostname)
mkdir -p "$LOGS" /volumes
mount --make-rshared /
[ -e /dev/kmsg ] || ln -s /dev/null /dev/kmsg
printf '%s' "$NAME" | md5sum | cut -c1-32 > /etc/machine-id

# nothing leaves this machine: no default route, and no resolver but the cluster's own
ip route del default 2>/dev/null
# a packet is routed once before kube-proxy rewrites it, so the Service range needs some route
ip route replace "$SERVICE_RANGE" dev eth0
: > /etc/resolv.conf

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  # one hierarchy, in a namespace of our own: processes move to a leaf, so that the root may delegate
  mount -o remount,rw /sys/fs/cgroup 2>/dev/null
  mkdir -p /sys/fs/cgroup/init
  while read -r pid; do echo "$pid" > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null; done < /sys/fs/cgroup/cgroup.procs
  sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
else
  # the host's hierarchies: everything of this node lies below a group of its name
  for folder in /sys/fs/cgroup/*/; do
    [ -e "$folder/cgroup.procs" ] && [ ! -e "$folder/cgroup.controllers" ] && mkdir -p "$folder/$CGROUP"
  done
  for file in cpuset.cpus cpuset.mems; do
    cat "/sys/fs/cgroup/cpuset/$file" > "/sys/fs/cgroup/cpuset/$CGROUP/$file"
  done
  # half the weight of what else runs on the host
  echo 512 > "/sys/fs/cgroup/cpu/$CGROUP/cpu.shares"
fi

trap 'exit 0' TERM
# a component that ends is started again; every end is written down
run() {
  local name=$1
  shift
  while :; do
    "$@" >> "$LOGS/$name.log" 2>&1
    local code=$?
    echo "$(date +%T) $name ended with $code" >> "$LOGS/ends.log"
    sleep 1
  done &
}

run containerd containerd --config /etc/kubernetes/containerd.toml
if [ "$NODE" = 1 ]; then
  run etcd etcd --data-dir /var/lib/etcd --unsafe-no-fsync
  run kube-apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address="$ADDRESS" \
    --tls-cert-file=$PKI/apiserver.crt --tls-private-key-file=$PKI/apiserver.key --client-ca-file=$PKI/ca.crt \
    --service-account-issuer=https://kubernetes.default.svc --service-account-signing-key-file=$PKI/service-accounts.key \
    --service-account-key-file=$PKI/service-accounts.pub --service-cluster-ip-range="$SERVICE_RANGE" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --kubelet-client-certificate=$PKI/admin.crt --kubelet-client-key=$PKI/admin.key --kubelet-preferred-address-types=InternalIP
  run kube-controller-manager kube-controller-manager --kubeconfig=$PKI/controller-manager.conf --leader-elect=false \
    --use-service-account-credentials=true --service-account-private-key-file=$PKI/service-accounts.key \
    --root-ca-file=$PKI/ca.crt --cluster-signing-cert-file=$PKI/ca.crt --cluster-signing-key-file=$PKI/ca.key \
    --pvclaimbinder-sync-period=2s --kube-api-qps=100 --kube-api-burst=200
  run kube-scheduler kube-scheduler --kubeconfig=$PKI/scheduler.conf --leader-elect=false
fi
run kubelet kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig="$PKI/kubelet.conf" --hostname-override="$NAME" --node-ip="$ADDRESS"
# the conntrack settings are the host's
run kube-proxy kube-proxy --kubeconfig=$PKI/proxy.conf --hostname-override="$NAME" --cluster-cidr="$POD_RANGE" \
  --proxy-mode=iptables --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
run volume-provisioner volume-provisioner --kubeconfig=$PKI/admin.conf --node="$NAME" --root=/volumes
wait
