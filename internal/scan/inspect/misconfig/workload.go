package misconfig

import "strings"

// judgePod checks a pod and its containers.
func (o *object) judgePod(d, spec *node) {
	o.judgeHost(spec)
	o.judgeVolumes(spec)
	pod := spec.get("securityContext")
	o.judgeSELinux(pod)
	containers := append(append([]*node{}, spec.get("containers").items()...), spec.get("initContainers").items()...)
	deployed := isTiller(d.get("metadata", "name").text()) || d.get("metadata", "labels", "name").text() == "tiller"
	for _, c := range containers {
		if c == nil {
			continue
		}
		image := c.get("image").text()
		if deployed || isTiller(imageName(image)) {
			o.add(&tiller, c.get("image").at(c), image)
			deployed = false
		}
		o.judgeImage(c, image)
		o.judgeResources(c)
		o.judgeContext(c, pod)
		for _, p := range c.get("ports").items() {
			if v, ok := p.get("hostPort").number(); ok && v != 0 {
				o.add(&hostPort, p.get("hostPort").line, o.name+" hostPort "+p.get("hostPort").text())
			}
		}
	}
}

func isTiller(name string) bool { return name == "tiller" || name == "tiller-deploy" }

// imageName is the last part of a reference, without tag and digest.
func imageName(ref string) string {
	ref = ref[strings.LastIndexByte(ref, '/')+1:]
	ref, _, _ = strings.Cut(ref, "@")
	ref, _, _ = strings.Cut(ref, ":")
	return ref
}

func (o *object) judgeHost(spec *node) {
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if v := spec.get(key); v.text() == "true" {
			o.add(&hostNamespace, v.line, o.name+" "+key)
		}
	}
}

// coreVolumes are those of the restricted Pod Security Standard.
var coreVolumes = map[string]bool{
	"name": true, "configMap": true, "csi": true, "downwardAPI": true, "emptyDir": true, "ephemeral": true, "persistentVolumeClaim": true,
	"projected": true, "secret": true, "image": true,
}

func (o *object) judgeVolumes(spec *node) {
	for _, v := range spec.get("volumes").items() {
		if v == nil {
			continue
		}
		for i, kind := range v.keys {
			if !coreVolumes[kind] && v.values[i] != nil {
				o.add(&nonCoreVolume, v.line, o.name+" "+kind)
			}
		}
		if p := v.get("hostPath", "path"); p != nil && sensitive(p.scalar) {
			o.add(&hostPath, p.line, o.name+" "+p.scalar)
		}
	}
}

// sensitive are paths of a node that make its owner.
func sensitive(p string) bool {
	p = strings.TrimRight(p, "/")
	switch p {
	case "", "/etc", "/root", "/proc", "/sys", "/dev", "/boot", "/var", "/var/run", "/run", "/var/lib", "/home", "/usr", "/lib", "/var/log":
		return true
	}
	for _, part := range []string{"docker.sock", "containerd.sock", "crio.sock", "/var/lib/kubelet", "/etc/kubernetes", "/var/lib/docker", "/var/lib/containerd", "/var/lib/etcd", "/root/", "/run/containerd"} {
		if strings.Contains(p, part) {
			return true
		}
	}
	return false
}

func (o *object) judgeImage(c *node, image string) {
	name := image[strings.LastIndexByte(image, '/')+1:]
	if image == "" || strings.Contains(image, "@") {
		return
	}
	if _, tag, ok := strings.Cut(name, ":"); !ok || tag == "latest" {
		o.add(&imageLatest, c.get("image").at(c), o.name+" image "+image)
	}
}

func (o *object) judgeResources(c *node) {
	where := o.name + " container " + c.get("name").text()
	if c.get("resources", "requests", "cpu") == nil && c.get("resources", "limits", "cpu") == nil {
		o.add(&cpuRequest, c.line, where)
	}
	if c.get("resources", "limits", "memory") == nil {
		o.add(&memoryLimit, c.line, where)
	}
}

// judgeContext checks the security context of a container, with the pod's
// where the container says nothing.
func (o *object) judgeContext(c, pod *node) {
	own := c.get("securityContext")
	where := o.name + " container " + c.get("name").text()
	line := own.at(c)
	inherited := func(path ...string) *node {
		if v := own.get(path...); v != nil {
			return v
		}
		return pod.get(path...)
	}
	if own.get("privileged").text() == "true" {
		o.add(&privileged, own.get("privileged").line, where)
	}
	if own.get("allowPrivilegeEscalation").text() != "false" {
		o.add(&escalation, line, where)
	}
	if inherited("runAsNonRoot").text() != "true" {
		if uid, ok := inherited("runAsUser").number(); !ok || uid == 0 {
			o.add(&runsAsRoot, line, where)
		}
	}
	if uid, ok := inherited("runAsUser").number(); !ok || uid <= 10000 {
		o.add(&lowUID, line, where)
	}
	if gid, ok := inherited("runAsGroup").number(); !ok || gid <= 10000 {
		o.add(&lowGID, line, where)
	}
	o.judgeCapabilities(own, line, where)
	if v := own.get("procMount"); v != nil && !strings.EqualFold(v.scalar, "Default") {
		o.add(&procMount, v.line, where+" procMount "+v.scalar)
	}
	if t := inherited("seccompProfile", "type").text(); t != "RuntimeDefault" && t != "Localhost" {
		o.add(&seccomp, line, where+" seccompProfile "+t)
	}
	o.judgeSELinux(own)
}

func (o *object) judgeCapabilities(own *node, line int, where string) {
	dropped := false
	for _, d := range own.get("capabilities", "drop").items() {
		dropped = dropped || strings.EqualFold(d.text(), "ALL")
	}
	if !dropped {
		o.add(&dropAll, line, where)
	}
	for _, a := range own.get("capabilities", "add").items() {
		if a != nil {
			o.add(&addedCapabilities, a.line, where+" adds "+a.scalar)
		}
	}
}

// judgeSELinux holds options to the baseline Pod Security Standard.
func (o *object) judgeSELinux(context *node) {
	options := context.get("seLinuxOptions")
	if options == nil {
		return
	}
	switch t := options.get("type").text(); t {
	case "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t":
	default:
		o.add(&selinux, options.line, o.name+" type "+t)
		return
	}
	if options.get("user").text() != "" || options.get("role").text() != "" {
		o.add(&selinux, options.line, o.name+" user or role")
	}
}
