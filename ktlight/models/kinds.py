"""The kind of an architecture, by the module of its library that defines it."""

_MODULES = {
    # mix positions by attention, alone or with convolutions
    "transformer": "beit cait coat convit crossvit csatv2 davit deepseek_vit deit edgenext efficientformer "
    "efficientformer_v2 efficientvit_mit efficientvit_msra eva fastvit gcvit gemma4_vit hiera hieradet_sam2 iformer "
    "levit lowformer maxxvit metaformer mobilevit mvitv2 naflexvit nest nextvit pit pvt_v2 qwen3_vit shvit swiftformer "
    "swin_transformer swin_transformer_v2 swin_transformer_v2_cr tiny_vit tnt twins visformer vision_transformer "
    "vision_transformer_hybrid vision_transformer_relpos vision_transformer_sam vitamin volo xcit "
    # of torchvision and transformers alone
    "maxvit "
    "clip cvt data2vec_vision dinat dinov2 dinov2_with_registers donut_swin ijepa imagegpt metaclip_2 mobilevitv2 "
    "perceiver poolformer pvt segformer siglip siglip2 swin swinv2 vit vit_msn",
    "cnn": "byoanet byobnet convmixer convnext cpubone cspnet cspnext densenet dla dpn efficientnet fasternet focalnet "
    "ghostnet hardcorenas hgnet hrnet inception_next inception_resnet_v2 inception_v3 inception_v4 lcnetv2 mambaout "
    "mobilenetv3 mobilenetv5 nasnet nfnet pnasnet rdnet regnet repghost repvit res2net resnest resnet resnetv2 rexnet "
    "selecsls senet sknet starnet tresnet vgg vovnet xception xception_aligned "
    # of torchvision and transformers alone
    "alexnet googlenet inception mnasnet mobilenetv2 shufflenetv2 squeezenet "
    "bit convnextv2 hgnet_v2 mobilenet_v1 mobilenet_v2 pp_lcnet textnet",
    # neither attention nor convolution mixes positions
    "mlp": "mlp_mixer",
    "other": "efficientvim sequencer",
}
KINDS = tuple(_MODULES)
_KIND_OF = {module: kind for kind, modules in _MODULES.items() for module in modules.split()}


def kind(family: str) -> str:
    """Return ``transformer``, ``cnn`` or ``mlp``, as Roth et al. (ICLR 2024) group architectures, or ``other``.

    >>> kind("vision_transformer"), kind("mlp_mixer"), kind("resnet"), kind("my_network")
    ('transformer', 'mlp', 'cnn', 'other')
    """
    return _KIND_OF.get(family, "other")
