//! Given names that are frequent in the United States and Germany. One before another capitalised word is taken for a
//! person's name; names of places, months and virtues are left out.

/// As alternatives of a pattern.
pub(super) const GIVEN: &str = "(?:Aaron|Abigail|Adam|Ahmed|Albert|Alejandro|Alexander|Alexandra|Alexis|Alice|Alicia|Ali|\
    Allison|Amanda|Amber|Amy|Ana|Andrea|Andreas|Andrew|Angela|Anita|Anke|Ann|Anna|Anne|Annette|Anthony|Antonio|Arthur|\
    Ashley|Barbara|Beatrice|Benjamin|Bernd|Bernard|Beth|Betty|Beverly|Billy|Birgit|Bobby|Bradley|Brandon|Brenda|Brian|\
    Brittany|Bruce|Bryan|Carl|Carla|Carlos|Carol|Caroline|Carolyn|Catherine|Charles|Cheryl|Christina|Christine|\
    Christopher|Claire|Claudia|Connie|Craig|Crystal|Cynthia|Daniel|Danielle|David|Dean|Deborah|Debra|Denise|Dennis|Diana|\
    Diane|Diego|Dieter|Donald|Donna|Doris|Dorothy|Douglas|Dylan|Edith|Edward|Elena|Elizabeth|Ellen|Emily|Emma|Eric|Ernest|\
    Esther|Ethan|Eugene|Evelyn|Fatima|Fernando|Frances|Francisco|Frank|Franz|Fred|Gabriel|Gary|George|Gerald|Gerhard|\
    Giovanni|Gloria|Gregory|Günter|Hannah|Hans|Harold|Harry|Heather|Heidi|Heike|Helen|Helga|Helmut|Henry|Herbert|Horst|\
    Howard|Ibrahim|Ingrid|Isaac|Isabella|Ivan|Jack|Jacob|Jacqueline|James|Jane|Janet|Janice|Jason|Javier|Jean|Jeffrey|\
    Jennifer|Jeremy|Jerry|Jessica|Jessie|Jesus|Joan|Johanna|Johann|John|Johnny|Jonathan|Jorge|Jose|José|Joseph|Joshua|\
    Joyce|Juan|Juanita|Judith|Judy|Julia|Julie|Jürgen|Justin|Karen|Karin|Karl|Katherine|Kathleen|Kathryn|Keith|Kelly|\
    Kenneth|Kevin|Kimberly|Klaus|Kyle|Larry|Laura|Lauren|Lawrence|Lena|Leonard|Leslie|Lillian|Linda|Lisa|Logan|Lori|\
    Louis|Louise|Lucas|Lucia|Luis|Madison|Manfred|Manuel|Marcus|Margaret|Maria|María|Marie|Marilyn|Mario|Mark|Markus|\
    Martha|Martin|Mary|Matthew|Matthias|Megan|Melissa|Michael|Michelle|Miguel|Mohamed|Mohammed|Monika|Nancy|Natalie|\
    Nathan|Nicholas|Nicole|Noah|Norma|Olivia|Oscar|Otto|Pamela|Patricia|Patrick|Paul|Paula|Pedro|Peggy|Peter|Petra|\
    Philip|Phillip|Phyllis|Rachel|Ralph|Randy|Raymond|Rebecca|Renate|Ricardo|Richard|Robert|Roberto|Rodney|Roger|Ronald|\
    Rosa|Rosemary|Russell|Ruth|Ryan|Sabine|Sandra|Sara|Sarah|Scott|Sean|Sebastian|Sharon|Shirley|Sofia|Sophia|Sophie|\
    Stefan|Stephanie|Stephen|Steven|Susan|Susanne|Teresa|Terry|Theodore|Theresa|Thomas|Timothy|Tina|Todd|Tyler|Ursula|\
    Vanessa|Victor|Vincent|Walter|Wanda|Wayne|Werner|William|Willie|Wolfgang|Zachary)";
