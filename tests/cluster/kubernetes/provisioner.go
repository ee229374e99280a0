package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	mount "k8s.io/mount-utils"
)

// Dynamic provisioning of `local` volumes: one process a node makes the volumes whose claims the scheduler placed on
// this node. A `local` volume, unlike hostPath, gets fsGroup. With the class parameter `medium: Memory` the volume is a
// tmpfs of exactly the requested size, so that a full volume is a real ENOSPC; otherwise it is a folder without a limit.
//
// Invariants: a volume's name comes from its claim's uid, so a repeated attempt meets AlreadyExists and no claim gets
// two; a folder is removed before its PersistentVolume, so nothing is left behind when the process dies in between.
const (
	provisionerName = "backupdb.vya.digital/test-local"
	provisionedBy   = "pv.kubernetes.io/provisioned-by"
	selectedNode    = "volume.kubernetes.io/selected-node"
	mediumParameter = "medium"
)

type provisioner struct {
	client     kubernetes.Interface
	node, root string
	mounter    mount.Interface
	claims     cache.Indexer
	volumes    cache.Indexer
	classes    cache.Indexer
	queue      workqueue.TypedRateLimitingInterface[string]
}

func newProvisionerCommand() *cobra.Command {
	var kubeconfig, node, root string
	command := &cobra.Command{Use: "volume-provisioner", SilenceUsage: true, RunE: func(c *cobra.Command, _ []string) error {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		return newProvisioner(client, node, root).run(c.Context())
	}}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	command.Flags().StringVar(&node, "node", "", "the node whose volumes to make")
	command.Flags().StringVar(&root, "root", "/volumes", "the folder that holds the volumes")
	return command
}

func newProvisioner(client kubernetes.Interface, node, root string) *provisioner {
	return &provisioner{
		client: client, node: node, root: root, mounter: mount.New(""),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
	}
}

func (p *provisioner) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(p.client, 0)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	volumes := factory.Core().V1().PersistentVolumes().Informer()
	classes := factory.Storage().V1().StorageClasses().Informer()
	p.claims, p.volumes, p.classes = claims.GetIndexer(), volumes.GetIndexer(), classes.GetIndexer()
	for prefix, informer := range map[string]cache.SharedIndexInformer{"claim ": claims, "volume ": volumes} {
		enqueue := func(object any) {
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
				p.queue.Add(prefix + key)
			}
		}
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) },
		}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go func() { <-ctx.Done(); p.queue.ShutDown() }()
	for p.step(ctx) {
	}
	return nil
}

func (p *provisioner) step(ctx context.Context) bool {
	item, shutdown := p.queue.Get()
	if shutdown {
		return false
	}
	defer p.queue.Done(item)
	kind, key, _ := strings.Cut(item, " ")
	reconcile := p.reconcileClaim
	if kind == "volume" {
		reconcile = p.reconcileVolume
	}
	if err := reconcile(ctx, key); err != nil {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), item, err)
		p.queue.AddRateLimited(item)
		return true
	}
	p.queue.Forget(item)
	return true
}

// reconcileClaim makes the volume of a claim that was placed on this node and has none.
func (p *provisioner) reconcileClaim(ctx context.Context, key string) error {
	object, exists, err := p.claims.GetByKey(key)
	if err != nil || !exists {
		return err
	}
	claim := object.(*core.PersistentVolumeClaim)
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || claim.Annotations[selectedNode] != p.node || claim.Spec.StorageClassName == nil {
		return nil
	}
	object, exists, err = p.classes.GetByKey(*claim.Spec.StorageClassName)
	if err != nil || !exists || object.(*storage.StorageClass).Provisioner != provisionerName {
		return err
	}
	volume := p.volumeOf(claim, object.(*storage.StorageClass))
	if err := p.prepare(volume); err != nil {
		return err
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (p *provisioner) volumeOf(claim *core.PersistentVolumeClaim, class *storage.StorageClass) *core.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	reclaim := core.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{
			provisionedBy: provisionerName, mediumParameter: class.Parameters[mediumParameter],
		}},
		Spec: core.PersistentVolumeSpec{
			Capacity:    core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes: claim.Spec.AccessModes, VolumeMode: claim.Spec.VolumeMode, StorageClassName: class.Name,
			PersistentVolumeReclaimPolicy: reclaim,
			ClaimRef: &core.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: filepath.Join(p.root, name)}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{
					{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{p.node}},
				},
			}}}},
		},
	}
}

// prepare makes the folder, and mounts its tmpfs if it has one: also again after the node was restarted.
func (p *provisioner) prepare(volume *core.PersistentVolume) error {
	path := volume.Spec.Local.Path
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if volume.Annotations[mediumParameter] != "Memory" {
		return nil
	}
	if mounted, err := p.mounter.IsMountPoint(path); err != nil || mounted {
		return err
	}
	size := volume.Spec.Capacity[core.ResourceStorage]
	return p.mounter.Mount("tmpfs", path, "tmpfs", []string{fmt.Sprintf("size=%d", size.Value()), "mode=0755"})
}

// reconcileVolume removes a released volume of this node, and mends one that a restart of the node unmounted.
func (p *provisioner) reconcileVolume(ctx context.Context, key string) error {
	object, exists, err := p.volumes.GetByKey(key)
	if err != nil || !exists {
		return err
	}
	volume := object.(*core.PersistentVolume)
	if volume.Annotations[provisionedBy] != provisionerName || !p.isHere(volume) {
		return nil
	}
	if volume.Status.Phase != core.VolumeReleased && volume.Status.Phase != core.VolumeFailed {
		return p.prepare(volume)
	}
	if volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete {
		return nil
	}
	if err := p.remove(volume.Spec.Local.Path); err != nil {
		return err
	}
	err = p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (p *provisioner) isHere(volume *core.PersistentVolume) bool {
	affinity := volume.Spec.NodeAffinity
	return affinity != nil && affinity.Required != nil && len(affinity.Required.NodeSelectorTerms) == 1 &&
		affinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0] == p.node
}

func (p *provisioner) remove(path string) error {
	if mounted, err := p.mounter.IsMountPoint(path); err == nil && mounted {
		if err := p.mounter.Unmount(path); err != nil {
			return err
		}
	}
	return os.RemoveAll(path)
}
