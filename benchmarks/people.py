"""Customers and their payment methods. Each list begins with the most frequent."""

from dataclasses import dataclass

from django_paiementpro.enums import Channel

LAST_NAMES = [
    *("Koné", "Traoré", "Ouattara", "Coulibaly", "Kouassi", "Kouamé", "Yao", "Koffi", "Konan", "N’Guessan"),
    *("Diallo", "Bamba", "Touré", "Kouadio", "Kouakou", "Diabaté", "Diop", "Ndiaye", "Cissé", "Soro"),
    *("Fofana", "Diarra", "Silué", "Sangaré", "Dembélé", "Fall", "Sow", "Gueye", "Mbaye", "Faye"),
    *("Camara", "Keïta", "Ouédraogo", "Sawadogo", "Kaboré", "Zongo", "Dossou", "Hounsou", "Adjovi", "Gbaguidi"),
]

FIRST_NAMES = [
    *("Mohamed", "Awa", "Mariam", "Jean", "Fatou", "Aminata", "Ibrahim", "Moussa", "Marie", "Aya"),
    *("Mamadou", "Yao", "Koffi", "Konan", "Adjoua", "Akissi", "Abdoulaye", "Ousmane", "Seydou", "Salimata"),
    *("Serge", "Franck", "Hervé", "Christelle", "Estelle", "Affoué", "Amenan", "Souleymane", "Lassina", "Drissa"),
    *("Bakary", "Issouf", "Rokia", "Binta", "Cheikh", "Khady", "Ndeye", "Modou", "Désiré", "Sègla"),
]

#: How many of a day's payments are made in the hour from 0, 1, 2 ... in Abidjan.
RHYTHM = [14, 8, 5, 3, 3, 6, 15, 30, 50, 65, 75, 80, 82, 75, 70, 72, 78, 85, 95, 100, 96, 80, 55, 30]


@dataclass(frozen=True)
class Habit:
    """What ``weight`` of ten thousand customers pay with, and how their telephone numbers begin."""

    channel: Channel
    weight: int
    calling_code: str
    prefix: str


HABITS = [
    Habit(Channel.ORANGE_CI, 3250, "225", "07"),
    Habit(Channel.WAVE_CI, 2300, "225", "07"),
    Habit(Channel.MTN_CI, 1900, "225", "05"),
    Habit(Channel.MOOV_CI, 900, "225", "01"),
    Habit(Channel.ORANGE_SN, 350, "221", "7"),
    Habit(Channel.WAVE_SN, 350, "221", "7"),
    Habit(Channel.CARD, 300, "225", "07"),
    Habit(Channel.MTN_BJ, 250, "229", "01"),
    Habit(Channel.MOOV_BJ, 130, "229", "01"),
    Habit(Channel.ORANGE_BF, 80, "226", ""),
    Habit(Channel.ORANGE_ML, 80, "223", ""),
    Habit(Channel.TOGOCEL, 30, "228", ""),
    Habit(Channel.MOOV_TG, 20, "228", ""),
    Habit(Channel.ORANGE_CM, 20, "237", "6"),
    Habit(Channel.MTN_CM, 15, "237", "6"),
    Habit(Channel.AIRTEL_NE, 10, "227", ""),
    Habit(Channel.MTN_GN, 8, "224", "6"),
    Habit(Channel.PAYPAL, 4, "225", "05"),
    Habit(Channel.ORANGE_GW, 3, "245", "9"),
]
