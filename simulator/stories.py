"""What everybody in the cast is there to show, in Chinese and English."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Story:
    """One person's."""

    zh: str
    en: str


STORIES: dict[str, Story] = {
    "lin": Story("普通的两张卡", "an ordinary couple of cards"),
    "he": Story("普通，新卡为 1.00 版", "ordinary, new card of version 1.00"),
    "tang": Story("已通过银行启用", "already active, through a bank"),
    "luo": Story("已挂失", "reported lost"),
    "duan": Story("已注销", "cancelled"),
    "wei": Story("尚未发放", "not handed out yet"),
    "bai": Story("领卡已超过半年", "handed over over half a year ago"),
    "yan": Story(
        "三百天未激活金融账户，已暂停", "300 days without the financial application"
    ),
    "abu": Story("姓名续在标签 4E 中", "a name that goes on in tag 4E"),
    "jie": Story("姓名含生僻字", "a name with a rare character"),
    "gu": Story("已过有效期", "expired"),
    "jiang": Story("已电话临时挂失", "reported lost by telephone"),
    "qin": Story("新卡为 3.00 版，3DES", "new card of version 3.00, 3DES"),
    "xu": Story("新卡为 3.00 版，SM4", "new card of version 3.00, SM4"),
    "zhu": Story("旧卡为 SLE4442 存储卡", "old card is an SLE4442"),
    "shen": Story("旧卡为 SLE4428 存储卡", "old card is an SLE4428"),
    "song": Story("旧卡为磁条卡", "old card is a magnetic stripe"),
    "fang": Story("两张卡都没有密码", "cards without a PIN"),
    "kong": Story("密码只剩一次机会", "one try left"),
    "shi": Story("两张卡的密码都已锁定", "PIN blocked on both cards"),
    "tong": Story("未满十六周岁的儿童", "a child under 16"),
    "ji": Story("不是首次换卡", "no first replacement"),
    "pan": Story("旧卡已挂失", "old card reported lost"),
    "other.bank_card": Story("没有社保应用的银行卡", "no social security application"),
    "other.memory_card": Story("空白存储卡", "an empty memory chip"),
}
