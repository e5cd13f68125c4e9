# SPDX-License-Identifier: Apache-2.0 OR MIT
# Trains the small language model of examples/data/tinylm (MODEL.md there has the figures).
# The checkpoint has its own names and rotates neighbouring pairs; model.safetensors has the names and
# the split halves of Hugging Face, so its rows of q and k are in another order.
#
# A recipe that works: byte-level Llama-style model, 4.85 M parameters, PyTorch from Debian (python3-torch), CPU only.
# usage: train.py TRAIN_FILE VALID_FILE CHECKPOINT STEPS     (1500 steps of 8192 bytes: about an hour on one core)
# Found out: PyTorch's fused attention has a very slow CPU backward in bf16 (the plain softmax here is ten times faster);
# with another process on the second core, OMP_NUM_THREADS=1 is faster than 2; Debian's fp32 BLAS is slow, bf16 autocast is not.
import torch, torch.nn as nn, torch.nn.functional as F, numpy as np, math, time, sys, json
torch.manual_seed(0)
D,L,H,KV,FF,V,T=256,6,4,2,768,256,256
hd=D//H
class Block(nn.Module):
    def __init__(s):
        super().__init__()
        s.attn_norm=nn.Parameter(torch.ones(D)); s.ffn_norm=nn.Parameter(torch.ones(D))
        s.q=nn.Linear(D,H*hd,bias=False); s.k=nn.Linear(D,KV*hd,bias=False); s.v=nn.Linear(D,KV*hd,bias=False); s.o=nn.Linear(H*hd,D,bias=False)
        s.gate=nn.Linear(D,FF,bias=False); s.up=nn.Linear(D,FF,bias=False); s.down=nn.Linear(FF,D,bias=False)
def rms(x,w):
    xf=x.float(); return (xf*torch.rsqrt(xf.pow(2).mean(-1,keepdim=True)+1e-5)*w)
def rope(x,cos,sin):  # x B,h,T,hd interleaved pairs
    a,b=x[...,0::2],x[...,1::2]
    return torch.stack((a*cos-b*sin,a*sin+b*cos),-1).flatten(-2)
class LM(nn.Module):
    def __init__(s):
        super().__init__()
        s.emb=nn.Embedding(V,D); s.blocks=nn.ModuleList(Block() for _ in range(L)); s.norm=nn.Parameter(torch.ones(D)); s.out=nn.Linear(D,V,bias=False)
        nn.init.normal_(s.emb.weight,std=0.02)
        for n,p in s.named_parameters():
            if p.dim()==2 and 'emb' not in n: nn.init.normal_(p,std=0.02/(math.sqrt(2*L) if ('.o.' in n or 'down' in n) else 1))
        inv=10000**(-torch.arange(0,hd,2)/hd); ang=torch.outer(torch.arange(T).float(),inv)
        s.register_buffer('mask',torch.full((T,T),float('-inf')).triu(1),persistent=False); s.register_buffer('cos',ang.cos(),persistent=False); s.register_buffer('sin',ang.sin(),persistent=False)
    def forward(s,x):
        B,t=x.shape; h=s.emb(x); cos,sin=s.cos[:t],s.sin[:t]
        for b in s.blocks:
            y=rms(h,b.attn_norm)
            q=b.q(y).view(B,t,H,hd).transpose(1,2); k=b.k(y).view(B,t,KV,hd).transpose(1,2); v=b.v(y).view(B,t,KV,hd).transpose(1,2)
            q,k=rope(q.float(),cos,sin).to(v.dtype),rope(k.float(),cos,sin).to(v.dtype)
            k=k.repeat_interleave(H//KV,1); v=v.repeat_interleave(H//KV,1)
            a=((q@k.transpose(-1,-2)).float()*hd**-0.5+s.mask[:t,:t]).softmax(-1).to(v.dtype)@v; a=a.transpose(1,2).reshape(B,t,D)
            h=h+b.o(a)
            y=rms(h,b.ffn_norm); h=h+b.down(F.silu(b.gate(y))*b.up(y))
        return s.out(rms(h,s.norm))
m=LM(); print(sum(p.numel() for p in m.parameters()))
tr=torch.from_numpy(np.fromfile(sys.argv[1],dtype=np.uint8)); va=torch.from_numpy(np.fromfile(sys.argv[2],dtype=np.uint8))
steps=int(sys.argv[4]); B=32; lr=1.5e-3
dec=[p for p in m.parameters() if p.dim()==2]; nod=[p for p in m.parameters() if p.dim()<2]
opt=torch.optim.AdamW([{'params':dec,'weight_decay':0.1},{'params':nod,'weight_decay':0}],lr=lr,betas=(0.9,0.95))
def evalu():
    m.eval(); tot=0; n=0
    with torch.no_grad(), torch.autocast('cpu',torch.bfloat16):
        for i in range(0,128*T,16*T):
            xs=torch.stack([va[j:j+T] for j in range(i,i+16*T,T)]).long(); ys=torch.stack([va[j+1:j+T+1] for j in range(i,i+16*T,T)]).long()
            lg=m(xs).float(); tot+=F.cross_entropy(lg.view(-1,V),ys.view(-1),reduction='sum').item(); n+=ys.numel()
    m.train(); return tot/n/math.log(2)
t0=time.time()
for s in range(steps):
    for g in opt.param_groups: g['lr']=lr*min(1,(s+1)/100)*(0.05+0.95*0.5*(1+math.cos(math.pi*s/steps)))
    ix=torch.randint(len(tr)-T-1,(B,)); x=torch.stack([tr[i:i+T] for i in ix]).long(); y=torch.stack([tr[i+1:i+T+1] for i in ix]).long()
    with torch.autocast('cpu',torch.bfloat16): lg=m(x)
    loss=F.cross_entropy(lg.float().view(-1,V),y.view(-1))
    opt.zero_grad(set_to_none=True); loss.backward(); torch.nn.utils.clip_grad_norm_(m.parameters(),1.0); opt.step()
    if s%10==0: print(s,round(loss.item()/math.log(2),4),round(time.time()-t0,1),flush=True)
    if s%200==199: print('valid bits/byte',round(evalu(),4),flush=True); torch.save(m.state_dict(),sys.argv[3])
print('final valid bits/byte',evalu()); torch.save(m.state_dict(),sys.argv[3])
